"""Where the time of a run goes: every second from the start is booked on one activity."""

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
