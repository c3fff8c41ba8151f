"""Formats are chosen by what a model consists of, and the table of the docs is true of every registered model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.errors import ConfigError
from recrun.exporting import formats as formats_module
from recrun.exporting.formats import FORMATS, choose_formats, formats_for, require_packages
from recrun.exporting.material import Material

from .conftest import RANKING


def _documented(repository: Path) -> dict[str, set[str]]:
    """Return the formats of each model, as the docs have them."""
    text = (repository / "docs" / "exporting.md").read_text(encoding="utf-8")
    table = text.partition("| models | what they consist of | formats |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| [^|]+ \| ([^|]+) \|$", table, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", formats)) for names, formats in rows for name in re.findall(r"\w+", names)}


@pytest.mark.parametrize("model", RANKING)
def test_the_docs_name_the_formats_of_every_model(
    model: str, material_of: Callable[..., Material], repository: Path
) -> None:
    material = material_of(model)
    assert set(formats_for(material.holds)) == _documented(repository)[model]


def test_the_docs_name_no_other_models(repository: Path) -> None:
    assert set(_documented(repository)) == set(RANKING)


def test_the_command_offers_every_format() -> None:
    from recrun.cli.use.export import command

    (option,) = [each for each in command.params if each.name == "formats"]
    assert set(option.type.choices) == set(FORMATS)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("holds", "expected"),
    [({"vectors", "network"}, ["parquet"]), ({"weights"}, ["parquet"]), ({"network"}, ["onnx"])],
)
def test_the_default_needs_no_extra_if_it_can(holds: set[str], expected: list[str]) -> None:
    assert choose_formats((), frozenset(holds), "some") == expected


def test_an_index_comes_with_the_vectors_that_are_its_queries() -> None:
    holds = frozenset({"vectors", "network"})
    assert choose_formats(("faiss",), holds, "some") == ["faiss", "npz"]
    assert choose_formats(("faiss", "onnx"), holds, "some") == ["faiss", "onnx", "npz"]
    assert choose_formats(("faiss", "parquet", "faiss"), holds, "some") == ["faiss", "parquet"]


def test_a_format_that_does_not_fit_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"^slim does not fit format onnx: it has no network .*: npz, parquet, safet"):
        choose_formats(("onnx",), frozenset({"weights"}), "slim")
    with pytest.raises(
        ConfigError, match=r"^random cannot be exported: it has neither .*; write its lists with recrun"
    ):
        choose_formats((), frozenset(), "random")
    with pytest.raises(ConfigError, match="unknown format 'parkett'; did you mean 'parquet'"):
        require_packages(["parkett"])


def test_a_missing_package_is_one_error_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats_module, "is_installed", lambda name: name == "onnx")
    with pytest.raises(ConfigError, match=r"needs the packages onnxscript and onnxruntime, .*'recrun\[onnx\]'$"):
        require_packages(["npz", "onnx"])
    with pytest.raises(ConfigError, match=r"needs the package faiss, which is not installed: .*'recrun\[faiss\]'$"):
        require_packages(["faiss"])
