"""`recrun train` where it cannot write: a full disk, a folder that is read-only, or gone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.runs.checkpoint import load_checkpoint
from recrun.training.coach import Coach

from .conftest import TINY

SMALL = [
    *TINY,
    "lr=0.02",
    "epochs=2",
    "monitors=[ndcg@5]",
    "which4best=ndcg@5",
    "device=cpu",
    "threads=1",
    "verbose=0",
]
N_WRITES = 22
"""Files written whole by such a run up to its last evaluation; each flushes once, a checkpoint once more its folder."""


def _the_run(runs: Path) -> Path | None:
    found = [run for run in runs.glob("*/*/[!.]*") if "latest" not in run.parts]
    return found[0] if found else None


def _check_failure(outcome: Any, code: int) -> str:
    assert outcome.code == code, outcome.err
    lines = [line for line in outcome.err.splitlines() if line]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("call", "number"),
    [
        *((call, errno.ENOSPC) for call in (1, 2, 3, 5, 6, 8, 11, 14, 17, 20, N_WRITES)),
        *((call, number) for call in (2, 8, 14) for number in (errno.EDQUOT, errno.EIO)),
    ],
)
def test_a_disk_that_is_full_from_some_write_on_gives_one_line_and_keeps_the_last_checkpoint(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, number: int
) -> None:
    fsync, calls = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        outcome = recrun("train", "bprmf", *SMALL)
    run = _the_run(tmp_path / "runs")
    line = _check_failure(outcome, 1 if run else 2)
    assert os.strerror(number) in line
    assert list(tmp_path.rglob("*.tmp")) == [], "no temporary file stays behind"
    if run is None:
        assert call <= 5
        return
    last = run / "checkpoints/last/checkpoint.safetensors"
    assert (f"The last good checkpoint is {last.relative_to(tmp_path)}" in line) == last.exists()
    if last.exists():
        load_checkpoint(last)
    assert recrun("train", "--resume", str(run)).code == 0, "with room again, the run goes on"
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["status"] == "done"


@pytest.mark.parametrize("gone", [".", "checkpoints/last", "checkpoints/best", "metrics.jsonl", "run.json"])
def test_what_is_deleted_under_way_ends_the_run_with_one_line(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    train = Coach.train

    def delete_first(coach: Coach, epoch: int) -> None:
        target = coach.run.path / gone
        if epoch == 1 and target.is_dir():
            shutil.rmtree(target)
        elif epoch == 1:
            target.unlink()
        train(coach, epoch)

    monkeypatch.setattr(Coach, "train", delete_first)
    outcome = recrun("train", "bprmf", *SMALL, "checkpoint_freq=9")
    if gone in ("metrics.jsonl", "run.json"):
        assert outcome.code == 0, "these are begun anew"
        return
    line = _check_failure(outcome, 1)
    assert ("is gone" in line) if gone == "." else ("cannot write the checkpoint" in line)


# --- for real: small file systems of their own -----------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True, capture_output=True)


def test_a_checkpoint_that_does_not_fit_on_the_disk(recrun: Callable[..., Any], disk: Path) -> None:
    larger = [option for option in SMALL if not option.startswith("embedding_dim")]
    outcome = recrun("train", "bprmf", *larger, "embedding_dim=500", "--runs", str(disk))
    line = _check_failure(outcome, 1)
    assert "cannot write the checkpoint" in line
    assert "No space left on device" in line
    run = _the_run(disk)
    assert run is not None
    last = run / "checkpoints/last/checkpoint.safetensors"
    assert f"The last good checkpoint is {last}" in line
    assert load_checkpoint(last)["progress"]["epoch"] == 0
    assert list(disk.rglob("*.tmp")) == []
    _remount(disk, "size=20m")
    assert recrun("train", "--resume", str(run)).code == 0, "with room again, the run goes on"


@pytest.mark.parametrize("left", [0, 4096, 8192, 16384])
def test_a_disk_that_fills_up_under_way(
    recrun: Callable[..., Any], disk: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    train = Coach.train

    def fill_first(coach: Coach, epoch: int) -> None:
        if epoch == 1:
            free = os.statvfs(disk)
            (disk / "filling").write_bytes(b"x" * max(free.f_bavail * free.f_frsize - left, 0))
        train(coach, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Coach, "train", fill_first)
        outcome = recrun("train", "bprmf", *SMALL, "--runs", str(disk))
    line = _check_failure(outcome, 1)
    assert "No space left on device" in line
    run = _the_run(disk)
    assert run is not None
    load_checkpoint(run / "checkpoints/last")
    assert list(disk.rglob("*.tmp")) == []
    (disk / "filling").unlink()
    assert recrun("train", "--resume", str(run)).code == 0, "with room again, the run goes on"


def test_a_file_system_that_is_read_only(recrun: Callable[..., Any], disk: Path) -> None:
    _remount(disk, "size=20m")
    assert recrun("train", "bprmf", *SMALL, "--runs", str(disk)).code == 0
    run = _the_run(disk)
    assert run is not None
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps({**record, "status": "interrupted"}), encoding="utf-8")
    _remount(disk, "ro")
    try:
        line = _check_failure(recrun("train", "bprmf", *SMALL, "--runs", str(disk)), 2)
        assert f"cannot create a run folder in {disk}: Read-only file system" in line
        line = _check_failure(recrun("train", "--resume", str(run)), 2)
        assert f"cannot lock the run {run}: Read-only file system" in line
        line = _check_failure(recrun("eval", "--checkpoint", str(run), "-q"), 2)
        assert "an evaluation on test must be recorded in" in line
        assert recrun("eval", "--checkpoint", str(run), "--split", "valid", "-q").code == 0
        assert recrun("list", "runs", "--runs", str(disk)).code == 0
    finally:
        _remount(disk, "rw")
