"""docs/coming-from.md and the tables of the importers say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recrun.importing import elliot_models, freerec_models, recbole_models, warprec_models
from recrun.importing.run_import import PROGRAMS

MODELS = {
    "recbole": recbole_models.MODELS,
    "freerec": freerec_models.MODELS,
    "elliot": elliot_models.MODELS,
    "warprec": warprec_models.MODELS,
}


def _section(repository: Path, program: str) -> str:
    text = (repository / "docs" / "coming-from.md").read_text(encoding="utf-8")
    return text.split(f"\n## {PROGRAMS[program].NAME}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_model_of_a_program_is_in_the_docs(repository: Path, program: str) -> None:
    named = re.findall(r"Models: (.*?)\.\s", re.sub(r"\([^)]*\)", "", _section(repository, program)), re.DOTALL)
    names = {name.strip() for name in " ".join(named).replace("\n", " ").split(",")}
    assert names == set(MODELS[program])


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_key_of_the_tables_is_one_that_the_importer_knows(repository: Path, program: str) -> None:
    folder = repository / "recrun" / "importing"
    files = [folder / f"{program}{part}.py" for part in ("", "_keys", "_models")] + [folder / "searched.py"]
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())
    quoted = re.findall(r'"([^"\n]*)"', sources)
    known = {word for text in quoted for word in re.findall(r"[A-Za-z_0-9]+", text)}
    rows = re.findall(r"^\| ([^|]+) \| [^|]*\|", _section(repository, program), re.MULTILINE)
    keys = {key.partition(":")[0] for row in rows for key in re.findall(r"`([^` ]+(?:: [^`]*)?)`", row)}
    assert len(keys) > 15
    assert sorted(key for key in keys if not {key, re.sub(r"\d+$", "", key)} & known) == []
