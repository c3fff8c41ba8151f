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
        limits: how long the sweep and the process of a trial may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._timeout = limits.timeout
        self._end = None if limits.max_hours is None else time.monotonic() + 3600 * limits.max_hours
        self._late: dict[int, float] = {}

    @property
    def is_up(self) -> bool:
        """Whether the sweep has taken all its time."""
        return self._end is not None and time.monotonic() >= self._end

    def look(self, running: Mapping[int, Row]) -> tuple[list[int], list[int]]:
        """Return the trials to stop, each once, and those to kill, since they were to stop and did not.

        Args:
            running: the trials that run, by their numbers.
        """
        now, stopped, killed = time.monotonic(), [], []
        for index, row in running.items() if self._timeout is not None else ():
            asked = self._late.get(index)
            if asked is None and row.started is not None and now - row.started > (self._timeout or 0):
                self._late[index] = now
                stopped.append(index)
            elif asked is not None and now - asked > SECONDS_TO_SAVE:
                self._late[index] = float("inf")
                killed.append(index)
        return stopped, killed

    def forget(self, index: int) -> bool:
        """Take note that a trial has ended, and return whether it was to stop."""
        return self._late.pop(index, None) is not None
