"""Collect, from the earlier steps, how far each trial is and what it reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from recrun.sweep.schedules.schedule import Past, Result, Step


@dataclass
class Trial:
    """What is known of a trial.

    Args:
        steps: its steps, in order.
        results: the results of those that are known, in order.
    """

    steps: list[Step] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def is_pending(self) -> bool:
        """Whether the result of a step is not known."""
        return len(self.results) < len(self.steps)

    @property
    def value(self) -> float | None:
        """Its best value so far; None if it failed, or none is known."""
        return self.results[-1].value if self.results else None

    @property
    def has_failed(self) -> bool:
        """Whether it came to an end without a value."""
        return bool(self.results) and self.results[-1].value is None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to train, and it has a value."""
        return bool(self.results) and self.results[-1].is_finished and not self.has_failed


class Known:
    """What is known of each trial, by the numbers of its point and repeat.

    Args:
        past: all earlier steps, in order.
    """

    def __init__(self, past: Sequence[Past]) -> None:
        self.points: list[dict[int, Trial]] = []
        self.n_pending = 0
        for each in past:
            step = each.step
            while len(self.points) <= step.point:
                self.points.append({})
            trial = self.points[step.point].setdefault(step.repeat, Trial())
            trial.steps.append(step)
            if each.result is None:
                self.n_pending += 1
            else:
                trial.results.append(each.result)

    @property
    def n_begun(self) -> int:
        """The number of points that have begun."""
        return len(self.points)

    def has_failed(self, point: int) -> bool:
        """Return whether a trial of a point failed: its mean would not compare."""
        return any(trial.has_failed for trial in self.points[point].values())

    def next_repeat(self, points: Iterable[int], n_repeats: int) -> Step | None:
        """Return the next trial of points that are to be trained with all their repeats; None if all have begun.

        A point of which a trial failed gets no more.

        Args:
            points: the numbers of the points, in the order in which they are completed.
            n_repeats: how many repeats each has.
        """
        for point in points:
            n_begun = len(self.points[point])
            if n_begun < n_repeats and not self.has_failed(point):
                return Step(point, n_begun)
        return None
