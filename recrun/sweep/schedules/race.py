"""Race points over their seeds or folds: only those not yet worse than the best get further ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import ClassVar

from recrun.sweep.schedules.known import Known
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Schedule, Step

Values = tuple[float, ...]
"""The values of a point in each of its repeats."""


class Race(Schedule):
    """Trains all points with their first repeats, then round after round only those that are not worse than the best.

    A round is one more repeat of each point that is left. Before it, each point is compared with the one of the highest
    mean: their differences in the same repeats are tested by a one-sided paired t-test, and a point whose p-value is
    below `level` is out of the race. The best point gets all repeats. If it fails, all comparisons are made anew
    without it, so that points which were out because of it may go on.

    *Source:* Maron and Moore, Hoeffding Races, NIPS 1993; with the paired t-test in place of a bound on the mean as
    in López-Ibáñez et al., The irace package, Operations Research Perspectives 3 (2016), section 3.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
    """

    n_first: ClassVar[int] = 2
    """How many repeats each point has before the first comparison."""
    level: ClassVar[float] = 0.01
    """The p-value below which a point is out."""

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next trial of the round; `WAIT` at its end for all its results."""
        known = Known(past)
        first = min(self.n_first, self.n_repeats)
        step = known.next_repeat(range(known.n_begun), first)
        if step is not None:
            return step
        if known.n_begun < n_points:
            return Step(known.n_begun)
        # What a point that failed has won does not count: those that were out because of it are in again.
        left = [point for point in range(known.n_begun) if not known.has_failed(point)]
        for repeat in range(first, self.n_repeats):
            if any(known.points[point][each].is_pending for point in left for each in range(repeat)):
                return WAIT
            values = tuple(tuple(_value(known, point, each) for each in range(repeat)) for point in left)
            left = [left[place] for place in survivors(values, self.level)]
            for point in left:
                if repeat not in known.points[point]:
                    return Step(point, repeat)
        return WAIT if known.n_pending else END


def _value(known: Known, point: int, repeat: int) -> float:
    value = known.points[point][repeat].value
    if value is None:
        raise RuntimeError("the value is not known")
    return value


@lru_cache(maxsize=64)
def survivors(values: tuple[Values, ...], level: float) -> tuple[int, ...]:
    """Return the places of the points that are not significantly worse than the best, itself included.

    Args:
        values: of each point, at least two; all have the same number of repeats.
        level: a point is worse where the p-value of the one-sided paired t-test is below this.
    """
    if not values:
        return ()
    best = max(values, key=sum)  # The first of equal ones.
    count = len(best)
    bound = _bound(count - 1, level)
    found = []
    for place, each in enumerate(values):
        differences = [one - other for one, other in zip(best, each, strict=True)]
        mean = sum(differences) / count
        variance = sum((difference - mean) ** 2 for difference in differences) / (count - 1)
        # Not a quotient, because differences may all be the same.
        if mean <= bound * sqrt(variance / count):
            found.append(place)
    return tuple(found)


@lru_cache
def _bound(df: int, level: float) -> float:
    """Return the value that a t variable exceeds with the probability `level`."""
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - level))
