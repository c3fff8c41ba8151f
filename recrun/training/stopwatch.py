"""Measure where the time of a run goes, and when something that recurs is due."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Books the time since the last look on what was done in it.

    Args:
        device: where the work is done.
        waits: wait for a CUDA device at each look, so that its work is booked where it belongs. Without it, work that
            was only handed over is booked where it is waited for. It slows the run down a little.
    """

    def __init__(self, device: torch.device, *, waits: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._waits_for = device if waits and device.type == "cuda" else None
        self._last = time.perf_counter()

    def book(self, activity: str) -> None:
        """Book the time since the last call on an activity."""
        if self._waits_for is not None:
            torch.cuda.synchronize(self._waits_for)
        now = time.perf_counter()
        self.seconds[activity] = self.seconds.get(activity, 0.0) + now - self._last
        self._last = now

    def table(self) -> list[tuple[str, float, float]]:
        """Return (activity, seconds, share of the whole), the largest first."""
        whole = sum(self.seconds.values()) or 1.0
        rows = [(activity, seconds, seconds / whole) for activity, seconds in self.seconds.items()]
        return sorted(rows, key=lambda row: -row[1])


class Recurring:
    """Says when something is due that happens once in a while.

    Args:
        seconds: the time from one to the next.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()

    def is_due(self) -> bool:
        """Return whether it is due; if so, it counts as done."""
        if time.monotonic() - self._last < self._seconds:
            return False
        self.done()
        return True

    def done(self) -> None:
        """Count it as done now."""
        self._last = time.monotonic()
