"""The benchmarks are not run here: each says how to be run, and starts."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.rglob("*.py") if not path.name.startswith("_"))
IDS = [str(path.relative_to(FOLDER)) for path in SCRIPTS]


@pytest.fixture(autouse=True)
def _as_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scripts import what lies beside them, and keep what they set at import from other tests."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER / "peers"), *sys.path])
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.mark.parametrize("path", SCRIPTS, ids=IDS)
def test_a_benchmark_says_how_it_is_run(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    docstring = source.split('"""')[1]
    assert f"    python {path.relative_to(FOLDER.parent)}" in docstring


@pytest.mark.parametrize("path", SCRIPTS, ids=IDS)
def test_a_benchmark_prints_its_help(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if path.stem == "compiled":
        pytest.importorskip("numba", reason="numba is not there for every Python")
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_every_benchmark_of_a_target_is_run_with_all() -> None:
    scripts = {path.stem for path in FOLDER.glob("[!_]*.py")} - {"all", "compiled", "floor", "fold_in", "native"}
    listed = re.search(r"SCRIPTS = \((.*?)\)", (FOLDER / "all.py").read_text(encoding="utf-8"), re.DOTALL)
    assert listed is not None
    assert scripts <= set(re.findall(r'"(\w+)"', listed[1]))


def test_every_peer_has_a_script_and_requirements() -> None:
    peers = {path.stem for path in (FOLDER / "peers").glob("*.txt")}
    assert {path.stem.removeprefix("with_") for path in (FOLDER / "peers").glob("with_*.py")} - {"recrun"} == peers
