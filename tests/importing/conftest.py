"""Import a text as a config of another program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from recrun.importing.options import Options
from recrun.importing.run_import import Import, Imported, import_configs

Importer = Callable[..., Import]


@pytest.fixture
def import_text(tmp_path: Path) -> Importer:
    """Return what imports a text, or several of which a later one overrides an earlier one."""

    def run(program: str, *texts: str, name: str = "theirs.yaml", **options: str) -> Import:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / (name if number == len(texts) - 1 else f"{number}.yaml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
            paths.append(str(path))
        return import_configs(program, paths, Options(**options))

    return run


@pytest.fixture
def import_one(import_text: Importer) -> Callable[..., Imported]:
    """Return what imports a text that has one model."""

    def run(program: str, *texts: str, **options: str) -> Imported:
        [config] = import_text(program, *texts, **options).configs
        return config

    return run


def whys(config: Imported) -> dict[str, str]:
    """Return why keys are not mapped, by key; the reasons of one key are joined."""
    found: dict[str, list[str]] = {}
    for line in config.draft.not_mapped:
        found.setdefault(line.entry.key, []).append(line.why)
    return {key: "; ".join(reasons) for key, reasons in found.items()}
