"""Estimate how long a sweep still takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from recrun.report.terminal.lines import clock
from recrun.sweep.row import DONE, ENDED, FAILED, INTERRUPTED, PAUSED, PRUNED, RUNNING, Row

if TYPE_CHECKING:
    from recrun.sweep.state import State

_ENDED = (*ENDED, PAUSED, FAILED, INTERRUPTED)


class Pace:
    """Knows when a sweep began and how many trials run at once.

    Args:
        state: the sweep.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._began = time.monotonic()
        self._at_once = 1

    @property
    def elapsed(self) -> float:
        """The seconds since this call of the sweep began."""
        return time.monotonic() - self._began

    def n_ended(self) -> int:
        """Return how many trials have ended, or were paused."""
        return sum(row.status in _ENDED for row in self._state.rows)

    def total(self) -> int:
        """Return how many trials there are, those included that are not drawn yet."""
        return max(self._state.plan.most_at_once, len(self._state.rows))

    def left(self) -> float | None:
        """Return the seconds that the sweep still takes; None before a trial has ended.

        A trial that has not begun counts with the mean of those that are done on its config, or on any if none is; one
        that runs with what is left of that. The sum is divided by the most trials that ran at once so far. What was
        paused may go on, so for a study that prunes this is the least that it takes.
        """
        rows = self._state.rows
        n_running = sum(row.status == RUNNING for row in rows)
        self._at_once = max(self._at_once, n_running)
        means = self._means()
        if not means:
            return None
        seconds = sum(self._seconds_left(means))
        n_open = self.total() - self.n_ended()
        left = seconds / max(1, min(self._at_once, n_open))
        hours = self._state.plan.limits.max_hours
        return left if hours is None else min(left, max(3600 * hours - self.elapsed, 0.0))

    def _means(self) -> dict[str, float]:
        """Return the mean seconds of trials by their config, and under "" of all; start-up counts where it was seen."""
        found: dict[str, list[float]] = {}
        for row in self._state.rows:
            seconds = row.seconds if row.spent is None else row.spent
            if seconds is not None and row.status in (DONE, PAUSED, PRUNED):
                found.setdefault(row.trial.subject, []).append(seconds)
        every = [seconds for group in found.values() for seconds in group]
        return {**{name: fmean(group) for name, group in found.items()}, "": fmean(every)} if every else {}

    def _seconds_left(self, means: dict[str, float]) -> Iterator[float]:
        now = time.monotonic()
        for row in self._state.rows:
            if row.status not in _ENDED:
                mean = means.get(row.trial.subject, means[""])
                yield max(mean - _spent(row, now), 0.0)
        yield max(0, self.total() - len(self._state.rows)) * means[""]

    def text(self) -> str:
        """Return how long the sweep has run and how long it still takes, such as `0:01:30, about 0:10:00 left`."""
        left, limits = self.left(), self._state.plan.limits
        whole = "" if limits.max_hours is None else f" of {clock(3600 * limits.max_hours)}"
        if left is None or self.n_ended() >= self.total():
            return f"{clock(self.elapsed)}{whole}"
        about = "at least" if _prunes(self._state) else "about"
        return f"{clock(self.elapsed)}{whole}, {about} {clock(left)} left"


def _spent(row: Row, now: float) -> float:
    return now - row.started if row.status == RUNNING and row.started is not None else 0.0


def _prunes(state: State) -> bool:
    return any(row.until is not None for row in state.rows)
