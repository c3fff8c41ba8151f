"""Watch the time that a sweep and each of its trials may take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from recrun.sweep.limits import Limits
from recrun.sweep.row import Row

SECONDS_TO_SAVE: Final = 60.0
"""How long a trial that ran too long may take to save its state before it is killed."""


class TimeLimits:
    """The time left, from now on.

    Args:
        limits: how long the sweep and a trial may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._timeout = limits.timeout
        self._end = None if limits.max_hours is None else time.monotonic() + 3600 * limits.max_hours
        self._late: dict[int, float] = {}
        self._before: dict[int, float] = {}

    @property
    def is_up(self) -> bool:
        """Whether the sweep has taken all its time."""
        return self._end is not None and time.monotonic() >= self._end

    def look(self, running: Mapping[int, Row]) -> tuple[list[int], list[int]]:
        """Return the trials to stop, each once, and those to kill, since they were to stop and did not.

        What a trial took before it was paused counts too.

        Args:
            running: the trials that run, by their numbers.
        """
        now, stopped, killed = time.monotonic(), [], []
        for index, row in running.items() if self._timeout is not None else ():
            asked = self._late.get(index)
            if asked is None and self._taken(row, now) > (self._timeout or 0):
                self._late[index] = now
                stopped.append(index)
            elif asked is not None and now - asked > SECONDS_TO_SAVE:
                self._late[index] = float("inf")
                killed.append(index)
        return stopped, killed

    def ended(self, row: Row) -> bool:
        """Take note that the process of a trial has ended, and return whether it was to stop."""
        self._before[row.trial.index] = self._taken(row, time.monotonic())
        return self._late.pop(row.trial.index, None) is not None

    def _taken(self, row: Row, now: float) -> float:
        """Return the seconds that a trial has taken, with its earlier processes if it continues what they did."""
        before = self._before.get(row.trial.index, 0.0) if row.continues else 0.0
        return before + (0.0 if row.started is None else now - row.started)
