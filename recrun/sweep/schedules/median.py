"""Stop trials whose best value is below the median of the others' averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from recrun.sweep.schedules.known import Known
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Result, Schedule, Step

MOST_CHECKS: Final = 50
"""At so many epochs a trial is compared with the others at the most; they are spread evenly."""


class Median(Schedule):
    """Trains every point, and stops it at an epoch where it is worse than the median of the others.

    A trial is stopped at epoch e if its best value so far is strictly below the median, over the other points, of the
    averages of their values up to e. These are the points whose results are known when the trial starts, and which came
    as far as e or stopped early before it; points that were stopped count as far as they came.

    Points are compared by the first of their repeats; the others are trained only for points that were not stopped, and
    to the end.

    *Source:* Golovin et al., Google Vizier: A Service for Black-Box Optimization, KDD 2017, section 3.2.1.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
        eval_freq: epochs between evaluations.
        min_points: how many others must have a value at an epoch for a trial to be stopped there.
        min_epochs: no trial is stopped before this epoch; a tenth of all if None.
    """

    def __init__(
        self,
        n_repeats: int,
        last_epoch: int,
        eval_freq: int = 1,
        min_points: int = 5,
        min_epochs: int | None = None,
    ) -> None:
        super().__init__(n_repeats, last_epoch)
        self.min_points = min_points
        self.min_epochs = min_epochs or max(1, -(-last_epoch // 10))
        first = -(-self.min_epochs // eval_freq) * eval_freq
        every = eval_freq * max(1, -(-(last_epoch - first) // (eval_freq * MOST_CHECKS)))
        self.epochs = tuple(range(first, last_epoch, every))
        self._averages: dict[int, tuple[Result, Mapping[int, float]]] = {}

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next step: another repeat of a point that was not stopped, or a new point."""
        known = Known(past)
        ended = [point for point, trials in enumerate(known.points) if 0 in trials and trials[0].is_finished]
        repeat = known.next_repeat(ended, self.n_repeats)
        if repeat is not None:
            return repeat
        if known.n_begun < n_points:
            return Step(known.n_begun, floors=self._floors(known))
        return WAIT if known.n_pending and self.n_repeats > 1 else END

    def _floors(self, known: Known) -> dict[int, float]:
        """Return the median of the averages of the first repeats, at each epoch that enough of them have reached."""
        averages = [
            self._averages_of(point, trials[0].results[-1])
            for point, trials in enumerate(known.points)
            if trials[0].results and not trials[0].has_failed
        ]
        floors: dict[int, float] = {}
        for epoch in self.epochs:
            values = [each[epoch] for each in averages if epoch in each]
            if len(values) >= self.min_points:
                floors[epoch] = median(values)
        return floors

    def _averages_of(self, point: int, result: Result) -> Mapping[int, float]:
        """Return the average of a curve up to each epoch at which trials are compared, as far as it goes."""
        kept = self._averages.get(point)
        if kept is not None and kept[0] is result:
            return kept[1]
        curve = sorted(result.curve.items())
        averages: dict[int, float] = {}
        total, count = 0.0, 0
        for epoch in self.epochs:
            while count < len(curve) and curve[count][0] <= epoch:
                total += curve[count][1]
                count += 1
            if count and (result.epoch >= epoch or result.is_finished):
                averages[epoch] = total / count
        self._averages[point] = (result, averages)
        return averages
