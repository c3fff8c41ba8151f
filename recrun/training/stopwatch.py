"""Measure the time that a run spends on each activity and batch, and tell when a recurring task is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch


class Stopwatch:
    """Measures the time spent on each activity.

    Args:
        device: the device that does the work.
        waits: synchronize with a CUDA device at each call of `book`, so that its work is counted for the right
            activity; otherwise it is counted for the activity that waits for it. Slows the run down a little.
    """

    def __init__(self, device: torch.device, *, waits: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._waits_for = device if waits and device.type == "cuda" else None
        self._last = time.perf_counter()

    def book(self, activity: str) -> None:
        """Add the time since the last call to an activity."""
        if self._waits_for is not None:
            torch.cuda.synchronize(self._waits_for)
        now = time.perf_counter()
        self.seconds[activity] = self.seconds.get(activity, 0.0) + now - self._last
        self._last = now

    def table(self) -> list[tuple[str, float, float]]:
        """Return (activity, seconds, share of the total), the largest first."""
        whole = sum(self.seconds.values()) or 1.0
        rows = [(activity, seconds, seconds / whole) for activity, seconds in self.seconds.items()]
        return sorted(rows, key=lambda row: -row[1])


class Recurring:
    """Tells when a recurring task is due.

    Args:
        seconds: the interval.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether the task is due; if so, start the next interval."""
        if time.monotonic() - self._last < self._seconds:
            return False
        self.done()
        return True

    def done(self) -> None:
        """Start the next interval now."""
        self._last = time.monotonic()


def timed_batches(
    batches: Iterable[Any],
    device: torch.device,
    after: Callable[[float], bool],
    before: Callable[[], None] | None = None,
) -> Iterator[Any]:
    """Yield batches, and measure from asking for one until the consumer asks for the next.

    Args:
        batches: draws them.
        device: its work is waited for.
        after: is called after the work on each batch, with the seconds that it took; returns whether to go on.
        before: is called before each batch is drawn.
    """
    source = iter(batches)
    while True:
        if before is not None:
            before()
        begun = time.perf_counter()
        try:
            batch = next(source)
        except StopIteration:
            return
        yield batch
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if not after(time.perf_counter() - begun):
            return
