"""How `recrun train` starts and ends: what `latest` follows, a start that fails, and an end that cannot be recorded."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.runs.folder import RunFolder
from recrun.training.run_keeper import RunKeeper

from .conftest import SMALL


def _latest(folder: Path) -> str:
    return (folder / "runs/latest").resolve().name


def test_latest_follows_new_and_resumed_training_and_nothing_else(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for id in ("a", "b"):
        assert recrun("train", "bprmf", *SMALL, f"id={id}").code == 0
        assert _latest(tmp_path) == id
    assert recrun("train", "--resume", "runs/bprmf/Synthetic/a", "epochs=2").code == 0
    assert _latest(tmp_path) == "a"
    assert recrun("reproduce", "runs/bprmf/Synthetic/b").code == 0
    assert recrun("train", "bprmf", *SMALL, "id=c", "--keep-latest").code == 0
    expected = "expected:\n  - {metric: ndcg@5, split: valid, value: 0.1, tolerance: 1.0}\n"
    mine = (tmp_path / "runs/bprmf/Synthetic/b/config.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(mine + expected, encoding="utf-8")
    assert recrun("verify", "mine.yaml").code == 0
    assert _latest(tmp_path) == "a"


def test_a_run_that_was_copied_elsewhere_makes_no_latest_there(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "bprmf", *SMALL, "id=a").code == 0
    (tmp_path / "x/y").mkdir(parents=True)
    (tmp_path / "runs/bprmf/Synthetic/a").rename(tmp_path / "x/y/a")
    assert recrun("train", "--resume", "x/y/a", "epochs=2").code == 0
    assert not os.path.lexists(tmp_path / "latest")


def test_a_latest_that_cannot_be_moved_is_a_warning(recrun: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "runs/latest").mkdir(parents=True)
    outcome = recrun("train", "bprmf", *[text for text in SMALL if text != "verbose=0"], "id=a")
    assert outcome.code == 0
    assert "runs/latest does not point at this run" in outcome.err
    assert (tmp_path / "runs/bprmf/Synthetic/a/metrics.json").exists()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOSPC, errno.ENOLCK])
def test_a_run_that_cannot_be_locked_leaves_no_folder(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    open_file = os.open

    def refuse(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("/.lock"):
            raise OSError(number, os.strerror(number), str(path))
        return open_file(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        outcome = recrun("train", "bprmf", *SMALL, "id=a")
    assert outcome.code == 2
    assert outcome.err == f"error: cannot lock the run runs/bprmf/Synthetic/a: {os.strerror(number)}\n"
    assert list((tmp_path / "runs/bprmf/Synthetic").iterdir()) == []
    assert not os.path.lexists(tmp_path / "runs/latest")
    assert recrun("train", "bprmf", *SMALL, "id=a").code == 0, "the id is free"


def test_a_start_that_fails_leaves_no_folder(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "log.txt")

    with monkeypatch.context() as patch:
        patch.setattr(RunKeeper, "_usual_reporters", fail)
        outcome = recrun("train", "bprmf", *SMALL, "id=a")
    assert outcome.code == 2
    assert outcome.err == "error: the run runs/bprmf/Synthetic/a cannot start: Too many open files: log.txt\n"
    assert list((tmp_path / "runs/bprmf/Synthetic").iterdir()) == []
    assert recrun("train", "bprmf", *SMALL, "id=a").code == 0, "the id is free"


def test_a_resume_that_fails_at_its_start_keeps_the_run(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recrun("train", "bprmf", *SMALL, "id=a").code == 0

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "log.txt")

    with monkeypatch.context() as patch:
        patch.setattr(RunKeeper, "_usual_reporters", fail)
        assert recrun("train", "--resume", "runs/bprmf/Synthetic/a", "epochs=2").code == 2
    assert (tmp_path / "runs/bprmf/Synthetic/a/checkpoints/best/checkpoint.safetensors").exists()
    assert recrun("train", "--resume", "runs/bprmf/Synthetic/a", "epochs=2").code == 0


def test_an_end_that_cannot_be_recorded_is_a_run_that_failed(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = RunFolder.update_run

    def damaged_at_the_end(run: RunFolder, **changes: Any) -> None:
        if changes.get("status") == "done":
            run.run_file.write_text("{half", encoding="utf-8")
        update(run, **changes)

    monkeypatch.setattr(RunFolder, "update_run", damaged_at_the_end)
    outcome = recrun("train", "bprmf", *SMALL, "id=a")
    assert outcome.code == 1
    assert "run.json is damaged: it is not JSON" in outcome.err
    assert "best_epoch" in json.loads((tmp_path / "runs/bprmf/Synthetic/a/metrics.json").read_text(encoding="utf-8"))


def test_a_resume_prints_as_it_is_asked_to_and_not_as_the_run_was_started(recrun: Callable[..., Any]) -> None:
    loud = [each for each in SMALL if each != "verbose=0"]
    first = recrun("train", "bprmf", *loud, "id=a", "-q")
    assert (first.code, first.out, first.err) == (0, "", "")
    run = "runs/bprmf/Synthetic/a"
    quiet = recrun("train", "--resume", run, "epochs=2", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    asked = recrun("train", "--resume", run, "epochs=3")
    assert (asked.code, "epoch   3" in asked.err or "3/3" in asked.err, "ndcg@5" in asked.out) == (0, True, True)
    assert "verbose: 1\n" in (first.folder / run / "config.yaml").read_text()
    (first.folder / "quiet.yaml").write_text("extends: bprmf\nverbose: 0\n")
    recrun("train", "quiet.yaml", *loud, "id=b")
    still = recrun("train", "--resume", "runs/bprmf/Synthetic/b", "epochs=2")
    assert (still.code, still.out, still.err) == (0, "", "")
