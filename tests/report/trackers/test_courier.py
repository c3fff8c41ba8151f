"""The thread that delivers beside a run: it misses no end, whenever that comes."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from recrun.report.trackers import courier
from recrun.report.trackers.courier import Courier
from recrun.report.trackers.facts import About
from recrun.runs.folder import RunFolder
from tests.report.trackers.test_delivery import SETTINGS, Listed


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path, SETTINGS)
    run.update_run(status="failed", ended="2026-01-01T00:00:00+00:00", cause="x")
    return run


def test_an_end_that_comes_as_the_thread_looks_for_it_is_delivered(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "PATIENCE", 3.0)
    monkeypatch.setattr(courier, "_PAUSE", 0.0)
    tracker = Listed(run)
    sent = Courier(tracker)

    class Flag(threading.Event):
        """Is set by the run right after the thread has first found that it is not."""

        has_been_read = False

        def is_set(self) -> bool:
            was_set = super().is_set()
            if not self.has_been_read:
                self.has_been_read = True
                sent.end()
            return was_set

    sent._has_ended = Flag()
    sent.start()
    sent._has_ended.wait(3.0)
    sent.wait()
    assert list(sent.warnings) == []
    assert [each.status for each in tracker.endings] == ["failed"]


@pytest.mark.parametrize("error", [KeyboardInterrupt("no"), asyncio.CancelledError("no"), SystemExit("no")])
def test_whatever_a_tracker_raises_is_its_failure(run: RunFolder, error: BaseException) -> None:
    class Raises(Listed):
        def begin(self, about: About) -> str:
            raise error

    sent = Courier(Raises(run))
    sent.start()
    sent.end()
    sent.wait()
    cause = f"{type(error).__name__}: no"
    assert f"not everything was delivered to listed ({cause})" in sent.warnings[-1]
    assert json.loads((run.path / "track" / "listed.json").read_text())["problem"] == cause
