"""Draw every point of a space, in the order of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from recrun.errors import ConfigError, Fault
from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Draw, Interval, Space


class GridSampler(Sampler):
    """Draws all points, row-major: the last dimension varies fastest."""

    adapts: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int = 0, smaller_is_better: Sequence[bool] = (False,)) -> None:
        super().__init__(space, seed, smaller_is_better)
        intervals = [each.values for each in space.dimensions if isinstance(each.values, Interval)]
        faults = [_fault(each) for each in intervals if each.n_values is None]
        if faults:
            raise ConfigError(faults)
        self._left = space.grid()
        self._drawn: list[Draw] = []

    def draw(self, told: Sequence[Told]) -> Draw | None:
        """Return point number `len(told)`, or None if the grid has no more."""
        while len(self._drawn) <= len(told):
            following = next(self._left, None)
            if following is None:
                return None
            self._drawn.append(following)
        return dict(self._drawn[len(told)])


def _fault(values: Interval) -> Fault:
    written = f"{values.low:g}..{values.high:g}"
    message = f"a grid cannot go through the range {written}: give a step or a list of values, or another --search"
    return Fault(message, key=values.key)
