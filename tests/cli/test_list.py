from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recrun.cli.list import command
from recrun.config.find import bundled_configs
from recrun.registry import REGISTRIES, entry_points

from .conftest import Outcome, modules_after

Run = Callable[..., Outcome]
KINDS = (*REGISTRIES, "configs", "runs")


@pytest.fixture
def broken_package(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package whose model cannot be imported."""
    site = tmp_path_factory.mktemp("site")
    info = site / "junk-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: junk\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[recrun.models]\njunk = junk_module:Junk\n")
    (site / "junk_module.py").write_text("raise RuntimeError('out of order')\n")
    monkeypatch.syspath_prepend(str(site))
    entry_points.find_entry_points.cache_clear()
    yield
    entry_points.find_entry_points.cache_clear()


@pytest.mark.parametrize("kind", REGISTRIES)
def test_everything_registered_is_listed(recrun: Run, kind: str) -> None:
    outcome = recrun("list", kind)
    assert (outcome.code, outcome.err) == (0, "")
    assert all(name in outcome.out for name in REGISTRIES[kind].names())
    rows = json.loads(recrun("list", kind, "--json").out)
    assert [row["name"] for row in rows] == REGISTRIES[kind].names()
    assert all(row["summary"] for row in rows)


def test_bundled_configs_are_listed_with_what_their_first_sentence_says(recrun: Run) -> None:
    rows = json.loads(recrun("list", "configs", "--json").out)
    assert [row["name"] for row in rows] == list(bundled_configs())
    assert all(row["summary"].endswith(".") and "  " not in row["summary"] for row in rows)
    (enmf,) = (row["summary"] for row in rows if row["name"] == "synthetic/enmf")
    assert enmf == (
        "Matrix factorisation on all items without sampling negatives (ENMF), with settings for the embedded data set "
        "Synthetic."
    )
    assert "bprmf" in recrun("list", "configs").out


def test_no_runs_are_an_empty_list(recrun: Run) -> None:
    assert json.loads(recrun("list", "runs", "--json").out) == []
    outcome = recrun("list", "runs", "--runs", "elsewhere")
    assert (outcome.code, outcome.out) == (0, "")
    assert "no runs in elsewhere" in outcome.err
    assert outcome.is_untouched


def test_the_help_names_every_kind() -> None:
    assert all(kind in (command.help or "") for kind in KINDS)


def test_a_kind_that_is_not_known_names_the_nearest(recrun: Run) -> None:
    outcome = recrun("list", "model")
    assert outcome.code == 2
    assert "unknown kind 'model'; did you mean 'models'?" in outcome.err


@pytest.mark.usefixtures("broken_package")
def test_a_broken_package_of_somebody_else_spoils_nothing(recrun: Run) -> None:
    outcome = recrun("list", "models", "--json")
    assert outcome.code == 0
    assert "bprmf" in [row["name"] for row in json.loads(outcome.out)]
    assert outcome.err == (
        "warning: model 'junk' (entry point junk = junk_module:Junk) cannot be loaded: RuntimeError: out of order\n"
    )
    assert recrun("list", "losses").err == ""
    assert recrun("validate", "bprmf").code == 0
    outcome = recrun("show", "junk")
    assert (outcome.code, outcome.out) == (2, "")


def test_torch_is_not_imported(tmp_path: Path) -> None:
    for kind in KINDS:
        assert (
            modules_after("list", kind, "--runs", str(tmp_path), names=("torch", "polars", "scipy", "pydantic")) == []
        )


def test_formats_are_listed_with_the_extensions_that_tell_them(recrun: Run) -> None:
    rows = {row["name"]: row for row in json.loads(recrun("list", "formats", "--json").out)}
    assert list(rows["jsonl"]) == ["name", "extensions", "summary"]
    assert rows["jsonl"]["extensions"] == [".jsonl", ".ndjson", ".json"]
    assert rows["mind"]["extensions"] == []
    assert any(
        line.split()[:3] == ["parquet", ".parquet", ".pq"] for line in recrun("list", "formats").out.splitlines()
    )
