"""The stopwatch: every second is booked once."""

from __future__ import annotations

import time

import pytest
import torch

from recrun.training.stopwatch import Stopwatch


def test_the_time_since_the_last_look_is_booked_on_what_was_done() -> None:
    start = time.perf_counter()
    watch = Stopwatch(torch.device("cpu"))
    time.sleep(0.02)
    watch.book("forward")
    watch.book("backward")
    time.sleep(0.01)
    watch.book("forward")
    whole = time.perf_counter() - start
    assert watch.seconds["forward"] >= 0.03
    assert sum(watch.seconds.values()) <= whole
    activity, seconds, share = watch.table()[0]
    assert (activity, seconds) == ("forward", watch.seconds["forward"])
    assert share > 0.5


def test_it_waits_for_a_gpu_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    Stopwatch(torch.device("cuda", 1)).book("forward")
    assert waited == []
    Stopwatch(torch.device("cuda", 1), waits=True).book("forward")
    assert waited == [torch.device("cuda", 1)]
    Stopwatch(torch.device("cpu"), waits=True).book("forward")
    assert len(waited) == 1
