"""What the documentation names exists: files, modules, names and links."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Final

import pytest

from recrun.registry import REGISTRIES

TOP: Final = Path(__file__).resolve().parent.parent
PAGES: Final = [*sorted((TOP / "docs").glob("*.md")), TOP / "README.md", TOP / "CONTRIBUTING.md"]
FILES: Final = [*PAGES, TOP / "recrun", TOP / "models"]
NOT_MODULES: Final = {"recrun.yaml", "recrun.schema.json", *(f"recrun.{plural}" for plural in REGISTRIES)}
"""A file's name, and the groups of entry points."""
SINCE: Final = "## 0.1.0"


def _relative(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def _text(path: Path) -> str:
    """Return the text of a page, or of all sources in a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _exists(dotted: str) -> bool:
    """Return whether a dotted name leads to a module, or to an attribute of one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_every_file_that_is_named_exists(file: Path) -> None:
    text = _text(file)
    named = set(
        re.findall(r"\b(?:recrun|models|configs|docs|tests|benchmarks|examples)/[\w./-]*\w\.(?:py|md|yaml)\b", text)
    )
    assert [path for path in sorted(named) if not (TOP / path).is_file()] == []


@pytest.mark.parametrize("file", FILES, ids=_relative)
def test_every_name_of_recrun_in_backticks_exists(file: Path) -> None:
    text = _text(file)
    named = set(re.findall(r"`(recrun(?:\.\w+)+)", text)) - NOT_MODULES
    assert [name for name in sorted(named) if not _exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_import_in_the_docs_works(page: Path) -> None:
    imports = re.findall(r"^from (recrun[\w.]*) import ([\w, ]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = {f"{module}.{name.split(' as ')[0].strip()}" for module, names in imports for name in names.split(",")}
    assert [name for name in sorted(named) if not _exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=_relative)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_new_name_in_the_changelog_exists() -> None:
    text = (TOP / "CHANGELOG.md").read_text(encoding="utf-8").partition(SINCE)[0]
    table = re.findall(r"^\| `[^|]*` \| (`[^|]*) \|$", text, re.MULTILINE)
    assert len(table) > 10
    named = re.findall(r"`(recrun(?:\.\w+)+)`", " ".join(table))
    assert [name for name in named if not _exists(name)] == []


def test_the_architecture_page_names_every_room() -> None:
    text = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path.name for path in (TOP / "recrun").iterdir() if (path / "__init__.py").is_file()]
    assert [room for room in rooms if f"`{room}/`" not in text] == []
