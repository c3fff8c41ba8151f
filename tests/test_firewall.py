"""The test part stays closed until the one final scoring, which is entered into the ledger before it is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.cli.main import main
from recrun.data.datasets.base import RecDataSet
from recrun.runs.folder import RunFolder
from recrun.sweep.planning.plan import plan_sweep
from recrun.training.coach import Coach

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0"]
TRAINED = [*SMALL, "batch_size=128", "embedding_dim=8", "lr=0.05", "epochs=6"]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was opened and done, in order: the parts of any data set, entries of any ledger, steps of any Coach."""
    events: list[str] = []

    def spy(owner: type, name: str, word: Callable[..., str]) -> None:
        original = getattr(owner, name)

        def spied(self: Any, *args: Any, **kwargs: Any) -> Any:
            events.append(word(*args))
            return original(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, spied)

    spy(RecDataSet, "interactions", lambda split: f"open {split}")
    spy(RunFolder, "begin_test_evaluation", lambda *_: "ledger")
    spy(Coach, "validate", lambda *_: "validate")
    spy(Coach, "step", lambda *_: "step")
    return events


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit:
        main(list(arguments))
    return int(exit.value.code or 0)


@pytest.mark.parametrize(
    "options",
    [
        ["bprmf", *TRAINED],
        ["bprmf", *TRAINED, "early_stop_patience=1"],
        ["bprmf", *TRAINED, "lr_scheduler=plateau", "lr_patience=0"],
        ["bprmf", *TRAINED, "valid_ratio=0", "early_stop_patience=null"],
        ["bprmf", *TRAINED, "positives=users"],
        ["bprmf", *TRAINED, "loss=cross_entropy"],
        ["sasrec", *SMALL, "batch_size=32", "embedding_dim=8", "epochs=3"],
        ["popularity", *SMALL],
        ["ease", *SMALL],
    ],
)
def test_no_test_row_is_read_before_the_ledger_says_so(tmp_path: Path, log: list[str], options: list[str]) -> None:
    assert _run("train", *options, "--runs", str(tmp_path)) == 0
    assert log.count("ledger") == 1
    assert "open test" in log
    assert log.index("ledger") < log.index("open test")
    assert not [event for event in log[log.index("open test") :] if event in ("validate", "step")]


def test_an_interrupted_and_resumed_run_reads_test_at_its_end_only(
    tmp_path: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    after_step = Coach._after_step

    def stop(coach: Coach, step: int) -> None:
        coach._interrupts.requested = coach.state.epoch == 2
        after_step(coach, step)

    with monkeypatch.context() as patch:
        patch.setattr(Coach, "_after_step", stop)
        assert _run("train", "bprmf", *TRAINED, "--runs", str(tmp_path)) == 130
    assert "open test" not in log
    assert _run("train", "--resume", str(tmp_path / "latest")) == 0
    assert log.index("ledger") < log.index("open test")


def test_the_trials_of_a_sweep_never_open_test(tmp_path: Path, log: list[str]) -> None:
    plan = plan_sweep("bprmf", [*TRAINED[:-2], "epochs=3", "lr=1e-2,5e-2"])
    for trial in plan.trials:
        settings = [*trial.arguments, "eval_test=false"]
        assert trial.config["eval_test"] is False
        assert _run("train", "bprmf", *settings, "--runs", str(tmp_path)) == 0
    assert "open test" not in log
    assert "ledger" not in log


@pytest.mark.parametrize("refused", ["valid_ratio=0", "eval_valid=false"])
def test_a_sweep_without_validation_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: str
) -> None:
    assert _run("sweep", "bprmf", "lr=1e-2,5e-2", *SMALL[:-1], refused, "--runs", str(tmp_path / "runs")) == 2
    assert refused.partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_evaluation_on_valid_never_opens_test(tmp_path: Path, log: list[str]) -> None:
    assert _run("train", "bprmf", *TRAINED, "eval_test=false", "--runs", str(tmp_path)) == 0
    assert "open test" not in log
    assert _run("eval", "--checkpoint", str(tmp_path / "latest"), "--split", "valid", "-q") == 0
    assert "open test" not in log
    assert _run("eval", "--checkpoint", str(tmp_path / "latest"), "-q") == 0
    assert log.index("ledger") < log.index("open test")
    record = json.loads((tmp_path / "latest/run.json").read_text(encoding="utf-8"))
    assert [entry["by"] for entry in record["test_evaluations"]] == ["eval"]


def test_a_reproduction_reads_test_in_its_own_run_only(tmp_path: Path, log: list[str]) -> None:
    assert _run("train", "bprmf", *TRAINED, "--runs", str(tmp_path)) == 0
    run = (tmp_path / "latest").resolve()
    before = (run / "run.json").read_bytes()
    log.clear()
    assert _run("reproduce", str(run), "-q") == 0
    assert log.index("ledger") < log.index("open test")
    assert (run / "run.json").read_bytes() == before
