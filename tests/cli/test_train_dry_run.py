"""`recrun train --dry-run`: what it prints, what it refuses, and that it leaves nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.workflows.dry_run import estimate, fits

from .conftest import OWN, SMALL, TINY


def test_it_prints_time_memory_and_disk_and_leaves_nothing(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path.parent / f"{tmp_path.name}-temporary"
    other.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(other))
    outcome = recrun("train", "bprmf", *SMALL, "early_stop_patience=3", "--dry-run")
    assert outcome.code == 0, outcome.err
    total = r"[\d.]+ (s|min( \d+ s)?|h( \d+ min)?)"  # with all that this process did before
    patterns = {
        "time": rf"an epoch [\d.]+ s, an evaluation [\d.]+ s, the run at most {total} \(1 epoch and 3 evaluations\)",
        "memory": r"[\d.]+ [MG]B at its peak; [\d.,]+ [MGT]B are free",
        "disk": r"[\d.]+ [kM]B for the run, [\d.]+ [kM]B while it writes checkpoints; [\d.,]+ [MGT]B are free",
        "measured": r"\d+ of \d+ batches of an epoch, a whole evaluation",
    }
    printed = dict(line.split(": ", 1) for line in outcome.out.splitlines())
    for label, pattern in patterns.items():
        assert re.fullmatch(pattern, printed[label]), printed[label]
    assert list(tmp_path.iterdir()) == list(other.glob("recrun-*")) == []


def test_it_is_printed_as_json(recrun: Callable[..., Any]) -> None:
    document = json.loads(recrun("train", "ease", *TINY[:3], "--dry-run", "--json", "-q").out)
    assert document["estimate"]["seconds"].keys() == {"fit", "evaluation", "rest", "total", "is_most"}
    assert document["estimate"]["memory_bytes"]["peak"] > 10**7
    document = json.loads(recrun("train", "bprmf", *SMALL, "--dry-run", "--json").out)
    assert document["estimate"]["measured"]["n_batches"] == document["steps_per_epoch"]
    assert document["estimate"]["seconds"]["total"] > document["estimate"]["seconds"]["epoch"] > 0


def test_a_run_that_is_continued_is_not_touched(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "bprmf", *SMALL).code == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    outcome = recrun("train", "--resume", "runs/latest", "epochs=5", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "(5 epochs and 7 evaluations)" in outcome.out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_does_not_fit_is_refused_before_anything_starts(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fits, "available_memory", lambda: 100_000)
    outcome = recrun("train", "bprmf", *SMALL[:4], "embedding_dim=512", *SMALL[5:], "--dry-run")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: model: the run needs about 828.8 kB of memory: 819.2 kB for 51,200 parameters with ")
    assert line.endswith("; 100.0 kB are free; it fits with embedding_dim=32 (60.8 kB)")
    assert outcome.is_untouched


def test_what_does_not_fit_on_disk_is_refused(recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 20_000}))
    outcome = recrun("train", "bprmf", *SMALL, "--dry-run")
    assert outcome.code == 2
    assert (
        "on disk while it writes checkpoints, and 20.0 kB are free in runs; give --runs on another disk" in outcome.err
    )
    assert outcome.is_untouched


def test_a_step_that_needs_too_much_memory_is_refused(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is limited on Linux only")
    text = OWN + "\n    def training_loss(self, batch, criterion):\n        return torch.zeros(1 << 28).sum()\n"
    Path("own.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(fits, "available_memory", lambda: 200 << 20)
    outcome = recrun(
        "train", "bprmf", "model=own.py:Own", *TINY[:4], "epochs=1", "device=cpu", "threads=1", "--dry-run"
    )
    assert outcome.code == 2, outcome.err
    assert (
        "error: model: training a step needs more memory than the 209.7 MB that are free; lower batch_size (128)"
        in outcome.err
    )
    assert outcome.is_untouched


def test_threads_are_chosen_for_it_too(recrun: Callable[..., Any]) -> None:
    given = [each for each in SMALL if "threads" not in each]
    outcome = recrun("train", "bprmf", *given, "threads=auto", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert len([line for line in outcome.out.splitlines() if line.startswith("note: threads: ")]) == 1
