"""Give points up over their repeats by Wilcoxon's signed-rank test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from recrun.sweep.schedules.known import Known, Trial
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Schedule, Step


class Wilcoxon(Schedule):
    """Trains the repeats of a point one at a time, and no more of them once it is worse than the best point.

    The best point is that with the highest mean among those whose repeats are all done. Another is given up if its
    values are below those of the best point in the same repeats by a one-sided signed-rank test. As the best point
    changes, a point that was given up may go on. The first point, which there is nothing to compare with, is trained
    with all its repeats.

    *Source:* Wilcoxon, Individual Comparisons by Ranking Methods, Biometrics Bulletin 1 (1945); used to prune as by
    Optuna's WilcoxonPruner (https://optuna.readthedocs.io).

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
        p: a point is given up where the p-value is below this.
    """

    def __init__(self, n_repeats: int, last_epoch: int, p: float = 0.1) -> None:
        super().__init__(n_repeats, last_epoch)
        self.p = p

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next repeat of the first point that goes on, or the first repeat of a new point."""
        known = Known(past)
        values = [_values_of(trials) for trials in known.points]
        complete = [each for each in values if len(each) == self.n_repeats]
        best = max(complete, key=sum, default=None)  # The first of equal ones.
        for point, trials in enumerate(known.points):
            if len(trials) == self.n_repeats or len(values[point]) < len(trials):
                continue  # Nothing is left to begin, a result is not known, or one failed.
            if best is None or p_below(values[point], best) >= self.p:
                return Step(point, len(trials))
        if known.n_begun < n_points:
            return Step(known.n_begun)
        return WAIT if known.n_pending else END


@lru_cache(maxsize=4096)
def p_below(values: tuple[float, ...], others: tuple[float, ...]) -> float:
    """Return the p-value of the exact one-sided signed-rank test that values are below others, pair by pair.

    Pairs without a difference are left out; equal differences share their ranks. It is the share of all ways to draw
    the signs of the differences in which the ranks of the positive ones sum to no more than they do.

    Args:
        values: a value for each repeat.
        others: the values to compare with in the same order; further ones are ignored.

    >>> p_below((1.0, 2.0, 3.0), (2.0, 4.0, 6.0)), p_below((2.0, 4.0, 6.0), (1.0, 2.0, 3.0))
    (0.125, 1.0)
    """
    differences = [one - other for one, other in zip(values, others, strict=False) if one != other]
    sizes = sorted(abs(each) for each in differences)
    # Twice the ranks, which are whole where several share one.
    ranks = [sizes.index(abs(each)) * 2 + sizes.count(abs(each)) + 1 for each in differences]
    positive = sum(rank for rank, each in zip(ranks, differences, strict=True) if each > 0)
    ways = [1] + [0] * sum(ranks)
    for rank in ranks:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return float(sum(ways[: positive + 1]) / 2.0 ** len(ranks))


def n_least(p: float) -> int:
    """Return the smallest number of pairs at which a p-value may be below `p`.

    >>> n_least(0.1), n_least(0.05)
    (4, 5)
    """
    count = 1
    while 0.5**count >= p:
        count += 1
    return count


def _values_of(trials: dict[int, Trial]) -> tuple[float, ...]:
    """Return the values of a point's repeats, in order, as far as all before them are known and none failed."""
    values: list[float] = []
    for repeat in range(len(trials)):
        value = trials[repeat].value
        if value is None:
            break
        values.append(value)
    return tuple(values)
