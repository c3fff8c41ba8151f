"""Train every trial to its end, in order."""

from __future__ import annotations

from collections.abc import Sequence

from recrun.sweep.schedules.schedule import END, Decision, Past, Schedule, Step


class Whole(Schedule):
    """Trains every point with all its repeats to the end, point after point.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
        adapts: whether its points are drawn from results, so that each step has to wait for those before it.
    """

    def __init__(self, n_repeats: int, last_epoch: int, adapts: bool = False) -> None:
        super().__init__(n_repeats, last_epoch)
        self.adapts = adapts

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next trial in order; `END` after the last one."""
        point, repeat = divmod(len(past), self.n_repeats)
        return Step(point, repeat) if point < n_points else END
