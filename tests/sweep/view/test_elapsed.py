from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.row import Row
from recrun.sweep.view.elapsed import Elapsed


@pytest.fixture
def row(study: Callable[..., Ledger]) -> Row:
    """A trial that runs since 100 s; the record of its run was changed 10 s ago."""
    found = study("bprmf", "lr=1e-3,1e-2").rows[0]
    found.status, found.started = "running", time.monotonic() - 100
    found.run.path.mkdir(parents=True)
    found.run.run_file.write_text("{}")
    _age(found.run.run_file, 10)
    return found


def _age(file: Path, seconds: float) -> None:
    os.utime(file, (time.time() - seconds,) * 2)


def _record(row: Row, *seconds: float, age: float) -> None:
    with row.run.metrics_lines_file.open("a") as file:
        for each in seconds:
            line = {"epoch": 1, "split": "train", "values": {"loss": 0.1}, "seconds": each, "best": False}
            file.write(json.dumps(line) + "\n")
    _age(row.run.metrics_lines_file, age)


def test_a_running_trial_has_what_is_recorded_and_the_time_since(row: Row) -> None:
    elapsed = Elapsed()
    assert elapsed.seconds(row) == pytest.approx(10, abs=1)  # its process has taken 90 s to begin
    _record(row, 20.0, 30.0, age=4)
    assert elapsed.seconds(row) == pytest.approx(54, abs=1)
    _record(row, 7.0, age=0)
    assert elapsed.seconds(row) == pytest.approx(57, abs=1)
    row.status, row.seconds = "done", 57.0
    assert elapsed.seconds(row) == 57.0


def test_a_trial_that_goes_on_has_the_seconds_before_its_pause_and_not_the_pause(row: Row) -> None:
    _record(row, 50.0, age=1000)
    _age(row.run.run_file, 1000)
    assert Elapsed().seconds(row) == 50.0  # its new process has not begun to train
    _age(row.run.run_file, 3)
    assert Elapsed().seconds(row) == pytest.approx(53, abs=1)


def test_lines_that_a_run_repeats_count_once_and_a_clock_that_is_ahead_adds_nothing(row: Row) -> None:
    elapsed = Elapsed()
    _record(row, 1.0, 2.0, 4.0, age=-500)
    assert elapsed.seconds(row) == 7.0
    text = row.run.metrics_lines_file.read_text().splitlines(keepends=True)
    row.run.metrics_lines_file.write_text(text[0])
    _age(row.run.metrics_lines_file, -500)
    assert elapsed.seconds(row) == 1.0
    row.run.metrics_lines_file.unlink()
    row.run.metrics_lines_file.mkdir()
    _age(row.run.metrics_lines_file, -500)
    assert Elapsed().seconds(row) == 0.0
