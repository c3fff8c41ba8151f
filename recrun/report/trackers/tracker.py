"""Define trackers: reporters that send what a run folder holds to a service, beside the run and never in its way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from recrun.report.trackers.courier import Courier
from recrun.report.trackers.delivery import name_of
from recrun.report.trackers.facts import About, Ending, Point
from recrun.runs.folder import RunFolder
from recrun.training.reporter import Reporter

__all__ = ["About", "Ending", "Point", "Tracker"]


class Tracker(Reporter):
    """Base class of trackers: writes `begin`, `log` and `end`, and the rest is done here.

    These three are called in a thread of their own, one at a time; they may block and raise. Then the run goes on, and
    what they did not take is delivered later: as the run goes on, after a resume, or by `recrun track push`. What is
    delivered is read from the run folder, which also keeps how far that has come, so nothing is held in memory and
    nothing is sent twice.

    Args:
        run: the run folder.
        settings: every setting by its key.
    """

    name: str = ""
    """What it is called in messages and in the run folder; the name of the class if empty."""

    def __init__(self, run: RunFolder, settings: Mapping[str, Any]) -> None:
        self.run = run
        self.others: Reporter | None = None
        self._courier: Courier | None = None

    @abstractmethod
    def begin(self, about: About) -> str | None:
        """Begin to track a run, or continue with it if `about.handle` says that it is known already.

        Returns:
            The name by which the tracker knows the run, if that is not `about.id`; it is kept.
        """

    def known(self) -> Mapping[str, int] | None:
        """Return the last epoch of each split that the tracker has; None if it cannot say, and recrun's record holds.

        It is called after `begin`.
        """
        return None

    @abstractmethod
    def log(self, points: Sequence[Point]) -> None:
        """Log what was measured, in the order in which it was."""

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Record how the run ended; what was logged has arrived when the call returns."""

    @property
    def record_name(self) -> str:
        """What its record in the run folder is called."""
        return name_of(self)

    def abandon(self) -> None:
        """Let go of what would keep the process from exiting, as the tracker did not answer in time."""

    # --- what the run notifies it of ----------------------------------------------------------------------------------

    def start(self, info: Mapping[str, Any]) -> None:
        """Begin to deliver."""
        self._courier = Courier(self)
        self._courier.start()

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        """Pass on a warning."""
        self._speak()

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """Have the courier look for what is new."""
        self._wake()

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        """Have the courier look for what is new."""
        self._wake()

    def settle(self) -> None:
        """Wait until everything is delivered, for a bounded time that all trackers of the run share."""
        if self._courier is None:
            return
        for each in getattr(self.others, "reporters", [self]):
            if isinstance(each, Tracker) and each._courier is not None:
                each._courier.end()
        self._courier.wait()
        self._speak()
        self._courier = None

    def _wake(self) -> None:
        if self._courier is not None:
            self._courier.wake()
        self._speak()

    def _speak(self) -> None:
        """Tell the user, from the thread of the run, what the courier has to say."""
        while self._courier is not None and self._courier.warnings:
            text = self._courier.warnings.popleft()
            if self.others is not None:
                self.others.message(text, "warning")
