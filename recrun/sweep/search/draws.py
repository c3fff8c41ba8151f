"""Draw from a space with one number for each dimension, and find a draw that was not made before."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final, TypeAlias

from recrun.randomness import generator
from recrun.sweep.search.sampler import Told
from recrun.sweep.space.dimensions import Dimension, Draw, Options, Space

Key: TypeAlias = "tuple[tuple[str, float], ...]"
"""A draw in a form that can be compared and hashed."""

_ATTEMPTS: Final = 1_000
_FEW: Final = 10_000
"""In a space with at most so many draws, all of them are listed once a new one is hard to find."""


def key_of(draw: Draw) -> Key:
    """Return a draw in a form that can be compared: two draws have the same key if they have the same settings."""
    return tuple(sorted(draw.items()))


def keys_of(told: Sequence[Told]) -> set[Key]:
    """Return the keys of all points that were drawn."""
    return {key_of(each.draw) for each in told}


def draw_at(space: Space, shares: Sequence[float]) -> dict[str, int | float]:
    """Return the draw at a point of the unit cube.

    Args:
        space: the space.
        shares: a number from 0 to 1 for each dimension, also for those that turn out not to apply; equal shares are
            equally likely.
    """
    draw: dict[str, int | float] = {}
    for dimension, share in zip(space.dimensions, shares, strict=True):
        if space.applies(dimension, draw):
            draw[dimension.name] = value_at(dimension, float(share))
    return draw


def value_at(dimension: Dimension, share: float) -> int | float:
    """Return the value of a dimension at a share from 0 to 1; equal shares are equally likely."""
    if isinstance(dimension.values, Options):
        count = len(dimension.values.options)
        return min(math.floor(share * count), count - 1)
    return dimension.values.at(share)


def is_exhausted(space: Space, seen: Collection[Key]) -> bool:
    """Return whether every draw of a space was drawn before."""
    count = space.n_points
    return count is not None and len(seen) >= count


def random_draw(space: Space, seed: int, number: int, seen: Collection[Key]) -> dict[str, int | float] | None:
    """Return a random draw that differs from earlier ones, or None if there is no other.

    Args:
        space: the space.
        seed: the seed of all draws.
        number: the point's number; the draw depends on this, the seed and what was drawn before alone.
        seen: the keys of the draws before.
    """
    if is_exhausted(space, seen):
        return None
    random = generator(seed, number, "point of a sweep")
    for _ in range(_ATTEMPTS):
        draw = draw_at(space, random.random(len(space.dimensions)).tolist())
        if key_of(draw) not in seen:
            return draw
    if not space.is_countable:
        return None  # An interval so narrow that its numbers are the same in six digits.
    left = list(islice((draw for draw in space.grid() if key_of(draw) not in seen), _FEW))
    return left[int(random.integers(len(left)))]
