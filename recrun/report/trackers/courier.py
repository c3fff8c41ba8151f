"""Deliver to a tracker in a thread, beside the run."""

from __future__ import annotations

import threading
import time
from collections import deque
from shlex import quote
from typing import Final

from recrun.report.trackers.delivery import Delivery, explain
from recrun.report.trackers.facts import Receiver

_PAUSE: Final = 1.0
"""Seconds between deliveries: epochs that end faster are sent together."""
_LONGEST_WAIT: Final = 60.0
"""Seconds until a tracker that failed several times is tried again."""
PATIENCE: Final = 10.0
"""Seconds that a run waits, at its end, for its trackers."""


class Courier:
    """Sends to a tracker what a run writes into its folder, in a daemon thread.

    The history in the run folder is the queue: however long the tracker takes, nothing is held in memory, and what it
    did not take is still there afterwards.

    Args:
        tracker: where to.

    Attributes:
        warnings: what the user should be told, which the thread of the run does.
    """

    def __init__(self, tracker: Receiver) -> None:
        self.warnings: deque[str] = deque()
        self._tracker = tracker
        self._delivery = Delivery(tracker)
        self._has_news = threading.Event()
        self._has_ended = threading.Event()
        self._deadline = 0.0
        self._problem: str | None = None
        self._is_complete = self._is_given_up = False
        # A daemon: the process may exit while a tracker hangs.
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"recrun-{self._delivery.name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something new in the run folder."""
        self._has_news.set()

    def end(self) -> None:
        """Say that the run has ended; the time to wait begins."""
        if not self._has_ended.is_set():
            self._deadline = time.monotonic() + PATIENCE
            self._has_ended.set()
            self._has_news.set()

    def wait(self) -> None:
        """Wait for the end of the delivery; if it does not come in time, give up, and note that in the run folder."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        name, problem = self._delivery.name, self._problem
        if self._thread.is_alive():
            self._is_given_up = True
            self._tracker.abandon()
            problem = f"{name} did not answer within {PATIENCE:g} seconds"
            try:
                self._delivery.note_problem(problem)
            except Exception as error:  # the run is done all the same
                problem = explain(error)
        if not self._is_complete:
            command = f"recrun track push {quote(str(self._tracker.run.path))}"
            self.warnings.append(f"not everything was delivered to {name} ({problem}); deliver it with: {command}")

    def _work(self) -> None:
        try:
            with self._delivery.opened():
                self._deliver_until_end()
        except Exception as error:
            self._problem = explain(error)

    def _deliver_until_end(self) -> None:
        n_failures = 0
        while True:
            # In this order: an end between the two is news, and is seen the next time.
            self._has_news.clear()
            is_final = self._has_ended.is_set()
            try:
                self._delivery.deliver(final=is_final, at_once=True)
                n_failures, self._problem, self._is_complete = 0, None, is_final
            except BaseException as error:  # in this thread, Ctrl-C is none of the user's
                n_failures += 1
                self._fail(explain(error))
            if is_final:
                return
            if n_failures:
                self._has_ended.wait(min(2.0**n_failures, _LONGEST_WAIT))
            else:
                self._has_news.wait()
                self._has_ended.wait(_PAUSE)

    def _fail(self, cause: str) -> None:
        if self._problem is None and not self._has_ended.is_set():
            self.warnings.append(
                f"{self._delivery.name} takes nothing ({cause}); the run goes on, and it is tried again"
            )
        self._problem = cause
        if self._is_given_up:  # what a hanging call raises as the process exits says less than what is noted
            return
        try:
            self._delivery.note_problem(cause)
        except Exception as error:
            self._problem = explain(error)
