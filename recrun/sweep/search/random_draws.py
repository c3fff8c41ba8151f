"""Draw points at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from recrun.sweep.search.draws import keys_of, random_draw
from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Draw


class RandomSampler(Sampler):
    """Draws each point uniformly, on a logarithmic scale where the range says so, and none twice.

    A point depends on the seed and its number, and differs from those before it.

    *Source:* Bergstra and Bengio (2012), Random search for hyper-parameter optimization.
    """

    adapts: ClassVar[bool] = False

    def draw(self, told: Sequence[Told]) -> Draw | None:
        """Return a random point that is not among `told`, or None if all were drawn."""
        return random_draw(self.space, self.seed, len(told), keys_of(told))
