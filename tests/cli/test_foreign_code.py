"""Runs of strangers: the code that they name is not run unless the user says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.config.yaml_writer import dump_mapping
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder

from .conftest import OWN

SMALL = ["n_users=60", "n_items=40", "n_interactions=700", "epochs=1", "embedding_dim=8", "device=cpu", "verbose=0"]
THEIRS = """
from pathlib import Path

from recrun.criterions import BPRLoss
from recrun.training.reporter import Reporter

Path({trace!r}).touch()


class OwnLoss(BPRLoss):
    \"\"\"Count like BPR.\"\"\"


class OwnTracker(Reporter):
    \"\"\"Track nothing.\"\"\"

    def __init__(self, run, settings, resumed_from) -> None:
        super().__init__()
"""
COMMANDS = {
    "resume": ("train", "epochs=2", "--resume"),
    "eval": ("eval", "--checkpoint"),
    "reproduce": ("reproduce",),
}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that the code leaves behind when it is run."""
    return tmp_path / "trace"


@pytest.fixture
def own(tmp_path: Path, trace: Path) -> Path:
    file = tmp_path / "strangers" / "own.py"
    file.parent.mkdir()
    file.write_text(OWN + THEIRS.format(trace=str(trace)), encoding="utf-8")
    return file


@pytest.fixture
def foreign(recrun: Callable[..., Any], tmp_path: Path, own: Path, trace: Path) -> Path:
    """A whole run of a model in a file, as another user would send it: it was not run here."""
    elsewhere = own.with_name("elsewhere.py")
    shutil.copyfile(own, elsewhere)
    assert recrun("train", "bprmf", f"model={elsewhere}:Own", *SMALL, "id=theirs").code == 0
    trace.unlink()
    run = RunFolder((tmp_path / "runs" / "latest").resolve())
    _rename(run, str(elsewhere), str(own))
    return run.path


def _rename(run: RunFolder, old: str, new: str) -> None:
    """Replace the path of a file in everything that a run holds."""
    for file in (run.config_file, run.run_file, run.metrics_file):
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    for which in ("last", "best"):
        state = load_checkpoint(run.checkpoint_file(which))
        state["config"] = json.loads(json.dumps(state["config"]).replace(old, new))
        save_checkpoint(run.checkpoint_file(which), state)


@pytest.mark.parametrize("command", COMMANDS)
def test_code_that_a_run_names_is_run_only_when_the_user_says_so(
    recrun: Callable[..., Any], foreign: Path, own: Path, trace: Path, command: str
) -> None:
    line = (*COMMANDS[command], str(foreign))
    before = {file: file.read_bytes() for file in foreign.rglob("*") if file.is_file()}
    outcome = recrun(*line)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert f"names code that you have not run here before: model={own}:Own; if you trust it, add --trust" in outcome.err
    assert not trace.exists()
    assert {file: file.read_bytes() for file in foreign.rglob("*") if file.is_file()} == before
    assert recrun(*line, "--trust").code == 0
    assert trace.exists(), "the code was run"
    assert recrun(*line).code == 0, "once is enough"


@pytest.mark.parametrize("command", ["resume", "eval"])
def test_naming_the_code_is_enough(
    recrun: Callable[..., Any], foreign: Path, own: Path, trace: Path, command: str
) -> None:
    outcome = recrun(*COMMANDS[command], str(foreign), f"model={own}:Own")
    assert outcome.code == 0, outcome.err
    assert trace.exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loss", "{own}:OwnLoss"),
        ("track", ["{own}:OwnTracker"]),
        ("dataset", "{own}:Own"),
        ("sampler", "{own}:Own"),
        ("split", "{own}:Own"),
        ("optimizer", "{own}:Own"),
        ("monitors", ["recall@20", "{own}:Own@20"]),
        ("which4best", "{own}:Own@20"),
    ],
)
def test_no_setting_of_a_run_makes_its_code_run(
    recrun: Callable[..., Any], tmp_path: Path, own: Path, trace: Path, command: str, key: str, value: Any
) -> None:
    assert recrun("train", "bprmf", *SMALL).code == 0
    run = RunFolder((tmp_path / "runs" / "latest").resolve())
    value = json.loads(json.dumps(value).replace("{own}", str(own)))
    run.config_file.write_text(dump_mapping({**run.read_settings(), key: value}), encoding="utf-8")
    for which in ("last", "best"):
        state = load_checkpoint(run.checkpoint_file(which))
        state["config"][key] = value
        save_checkpoint(run.checkpoint_file(which), state)
    outcome = recrun(*COMMANDS[command], str(run.path))
    needs_none = key == "track" if command == "reproduce" else command == "eval" and key in ("loss", "track")
    assert (outcome.code, "Traceback" in outcome.err) == (0 if needs_none else 2, False)
    assert not trace.exists()


def test_trust_is_for_runs_alone(recrun: Callable[..., Any]) -> None:
    outcome = recrun("train", "bprmf", "--trust")
    assert (outcome.code, "--trust is for --resume" in outcome.err) == (2, True)
