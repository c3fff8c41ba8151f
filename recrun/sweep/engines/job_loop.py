"""Run trials on an engine until none is left or the user stops them: the loop of sweeps and of their last steps."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final, Generic, TypeVar

from recrun.errors import RecrunError
from recrun.sweep.engines.asking import asked, take_ended
from recrun.sweep.engines.engine import Engine, Job, Outcome
from recrun.sweep.locks.lease import LeaseLostError
from recrun.training.stop_signals import StopRequests

T = TypeVar("T")

_POLL_SECONDS: Final = 0.05


class JobLoop(ABC, Generic[T]):
    """Base class of loops that run trials, several at a time.

    A loop decides when a trial starts. A subclass decides which one that is, and keeps the record of all of them.

    Args:
        engine: where trials run.

    Attributes:
        running: the trials that run, by the numbers of their jobs.
        stops: whether no further trial starts.
        is_exhausted: whether no trial is left.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.running: dict[int, T] = {}
        self.stops = self.is_exhausted = False
        self._n_served = 0

    @abstractmethod
    def waiting(self) -> list[T]:
        """Return the trials that an earlier process may have started."""

    @abstractmethod
    def take(self) -> T | None:
        """Return the next trial to start, or None if none can start before another has ended."""

    @abstractmethod
    def known_job(self, trial: T) -> Job:
        """Return the job of a trial without its command, by which an earlier process's job is found again."""

    @abstractmethod
    def begin(self, trial: T) -> Job:
        """Record that a trial is about to start, and return its job."""

    @abstractmethod
    def not_started(self, trial: T) -> None:
        """Take back what `begin` has recorded: the trial could not be started."""

    @abstractmethod
    def adopted(self, trial: T) -> None:
        """Record that a trial runs which an earlier process has started."""

    @abstractmethod
    def record_end(self, trial: T, outcome: Outcome) -> None:
        """Record how a trial ended."""

    @abstractmethod
    def save(self) -> None:
        """Write the record."""

    def check(self) -> None:
        """Raise an error if the record is no longer this process's to write."""

    def started(self, trial: T) -> None:
        """Called when a trial has started."""

    def stopping(self, at_once: bool) -> None:
        """Called when the user asks to stop: running trials save first, or are killed at once."""

    def watch(self) -> None:
        """Called about twenty times a second, before the trials that have ended are recorded."""

    def ended(self, trial: T, outcome: Outcome) -> None:
        """Record how a trial ended, and decide what follows from it."""
        self.record_end(trial, outcome)

    def tick(self) -> None:
        """Called about twenty times a second, after the trials that have ended are recorded."""

    def run(self, requests: StopRequests) -> None:
        """Run the trials that are left.

        After the first request to stop, the running trials save and stop, and no other is started. The second kills
        them.

        Args:
            requests: counts the requests.
        """
        try:
            self._adopt()
            while self.running or not (self.is_exhausted or self.stops or requests.count):
                self._step(requests.count)
                if self.running:
                    time.sleep(_POLL_SECONDS)
        except LeaseLostError:  # the trials are another's now, and so are the files
            raise
        except Exception:
            self._wind_down(requests)
            raise
        except BaseException:
            self.engine.stop()
            raise

    def _adopt(self) -> None:
        """Take over the trials that an earlier process has started and that still run."""
        for trial in self.waiting():
            job = self.known_job(trial)
            if job.log.exists() and asked(self.engine.adopt, job):
                self.adopted(trial)
                self.running[job.index] = trial
                self.started(trial)

    def _step(self, n_requests: int) -> None:
        """Start what can start, stop what is to be stopped, and take note of what has ended."""
        self.check()
        if not self.stops and not n_requests:
            self._fill()
        if n_requests > self._n_served:
            self._n_served, self.stops = n_requests, True
            self.stopping(at_once=n_requests > 1)
            asked(self.engine.stop if n_requests == 1 else self.engine.kill)
        self.watch()
        for trial, outcome in take_ended(self.engine, self.running):
            self.ended(trial, outcome)
        self.tick()

    def _fill(self) -> None:
        self.is_exhausted = False
        while asked(self.engine.has_room):
            trial = self.take()
            if trial is None:
                self.is_exhausted = not self.running
                return
            self._start(trial)

    def _start(self, trial: T) -> None:
        try:
            job = self.begin(trial)
            asked(self.engine.start, job)
        except BaseException:
            self.not_started(trial)
            raise
        self.running[job.index] = trial
        self.started(trial)

    def _wind_down(self, requests: StopRequests) -> None:
        """Let running trials save and end after the loop itself has failed, and record what can be recorded.

        A further request to stop kills them. An engine that fails is not asked again.
        """
        served, self.stops = requests.count, True
        with suppress(Exception):
            self.engine.stop()
            while self.running and requests.count == served:
                for trial, outcome in take_ended(self.engine, self.running):
                    with suppress(RecrunError):
                        self.record_end(trial, outcome)
                time.sleep(_POLL_SECONDS)
            if self.running:
                self.engine.kill()
        with suppress(RecrunError):
            self.save()
