"""Draw the points of a scrambled Sobol' sequence, which fill a space more evenly than random ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from recrun.errors import ConfigError
from recrun.randomness import generator
from recrun.sweep.search.draws import draw_at, is_exhausted, key_of, keys_of, random_draw
from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Draw, Space

MAX_DIMENSIONS: Final = 21_201
"""The most dimensions for which direction numbers are known."""

_BLOCK: Final = 1_024
_ATTEMPTS: Final = 4_096
"""How many elements of the sequence are tried before a point is drawn at random."""


class SobolSampler(Sampler):
    """Draws the elements of a Sobol' sequence that is scrambled with the seed, and none twice.

    Each dimension has its own coordinate, also one that applies only sometimes, so the sequence does not depend on what
    was drawn. A longer study continues the sequence.

    *Source:* Sobol' (1967), On the distribution of points in a cube; Owen (1998), Scrambling Sobol' and
    Niederreiter-Xing points; the direction numbers of Joe and Kuo (2008), as in scipy.
    """

    adapts: ClassVar[bool] = False

    def __init__(self, space: Space, seed: int, smaller_is_better: Sequence[bool] = (False,)) -> None:
        super().__init__(space, seed, smaller_is_better)
        from scipy.stats import qmc

        count = len(space.dimensions)
        if count > MAX_DIMENSIONS:
            raise ConfigError(f"--search sobol takes at most {MAX_DIMENSIONS:,} settings that vary, found {count:,}")
        # The generator is passed on as `seed`, which all versions of scipy from 1.11 on know.
        self._sequence = qmc.Sobol(max(count, 1), scramble=True, seed=generator(seed, 0, "Sobol' sequence"))
        self._elements: npt.NDArray[np.float64] = np.empty((0, max(count, 1)))

    def draw(self, told: Sequence[Told]) -> Draw | None:
        """Return the first element from number `len(told)` on that is not among `told`, or None if all were drawn."""
        seen = keys_of(told)
        if is_exhausted(self.space, seen):
            return None
        for number in range(len(told), len(told) + _ATTEMPTS):
            draw = draw_at(self.space, self._element(number)[: len(self.space.dimensions)])
            if key_of(draw) not in seen:
                return draw
        return random_draw(self.space, self.seed, len(told), seen)

    def _element(self, number: int) -> list[float]:
        """Return an element of the sequence, as one number from 0 to 1 for each dimension."""
        while len(self._elements) <= number:
            self._elements = np.concatenate([self._elements, self._sequence.random(_BLOCK)])
        return [float(share) for share in self._elements[number]]
