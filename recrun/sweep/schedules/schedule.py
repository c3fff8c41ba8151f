"""Define the interface `Schedule`: it decides which trial is trained next, and up to which epoch.

A study is a sequence of steps. A step trains one trial, a point with one of its seeds or folds, up to an epoch.
A schedule decides the next step from those before it, as far as their results are known, and from nothing else: not
from the time, nor from how many trials run at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias


@dataclass(frozen=True)
class Step:
    """Train a trial up to an epoch.

    Args:
        point: the number of its point, counted from 0 in the order in which points begin.
        repeat: the number of its seed or fold, counted from 0.
        until: the epoch at which it pauses; None for its end.
        floors: by epoch, the value below which it is stopped there; larger is better.
    """

    point: int
    repeat: int = 0
    until: int | None = None
    floors: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a step has come to.

    Args:
        value: the best value of the criterion on validation up to the epoch of the step, negated where smaller is
            better; None if it failed.
        epoch: the epoch that was reached.
        is_finished: whether nothing is left to train: it reached its last epoch, or stopped early.
        was_stopped: whether its value fell below a floor.
        curve: the value of the criterion at each evaluation up to there, by epoch, likewise negated.
    """

    value: float | None
    epoch: int
    is_finished: bool = False
    was_stopped: bool = False
    curve: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Past:
    """A step that was decided before.

    Args:
        step: the step.
        result: its result, or None while that is not known.
    """

    step: Step
    result: Result | None = None


WAIT: Final = "wait"
"""Nothing can be decided before further results are known."""
END: Final = "end"
"""There is nothing left to do."""

Decision: TypeAlias = "Step | str"
"""A step, `WAIT` or `END`."""


class Schedule(ABC):
    """Decides the steps of a study.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
    """

    adapts: bool = True
    """Whether decisions depend on results; if so, they wait for these."""

    def __init__(self, n_repeats: int, last_epoch: int) -> None:
        self.n_repeats = n_repeats
        self.last_epoch = last_epoch

    @abstractmethod
    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next step. The first step of a point begins it; points begin in order.

        Args:
            past: all earlier steps, in order; the results of the last ones may not be known.
            n_points: how many points there may be.
        """

    @property
    def reserve(self) -> int:
        """The epochs that `finish` may need once the first step of a point is done."""
        return (self.n_repeats - 1) * self.last_epoch

    def finish(self, past: Sequence[Past]) -> Decision:
        """Return the next step of the point that is to be completed where there are no epochs left for others.

        It is the one with the most repeats that are done, and of those the one with the highest mean.

        Args:
            past: all earlier steps with their results, all of which are known.
        """
        latest: dict[int, dict[int, Result | None]] = {}
        for each in past:
            latest.setdefault(each.step.point, {})[each.step.repeat] = each.result
        values = {
            point: [result.value for result in results.values() if result is not None and result.value is not None]
            for point, results in latest.items()
            if len(results) < self.n_repeats and all(each is not None and each.is_finished for each in results.values())
        }
        left = [point for point, known in values.items() if len(known) == len(latest[point])]
        best = max(left, key=lambda point: (len(values[point]), sum(values[point]), -point), default=None)
        return END if best is None else Step(best, len(latest[best]))
