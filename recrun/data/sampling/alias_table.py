"""Draw items in proportion to their weights, exactly and in constant time.

Shapes: I items.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recrun.errors import DataError

_RESOLUTION: Final = 1 << 40
"""The approximate sum of all weights after they are scaled to integers."""


class AliasTable:
    """Draws item i with probability weights[i] / sum(weights), exactly, in constant time.

    Each of the I columns holds an equal share of the mass: the lower part belongs to its own item, the rest to one
    other item (Walker, 1977). The columns are filled by one sweep over light and heavy items, written as two searches
    in cumulative sums instead of a loop.

    Args:
        weights: positive integers `(I,)`, with I * sum(weights) < 2**63.
    """

    def __init__(self, weights: np.ndarray) -> None:
        self._share = int(weights.sum())
        scaled = weights.astype(np.int64) * len(weights)
        surplus = scaled - self._share
        light, heavy = np.flatnonzero(surplus < 0), np.flatnonzero(surplus >= 0)
        lacking, spare = np.cumsum(-surplus[light]), np.cumsum(surplus[heavy])
        self._own = scaled
        self._other = np.arange(len(weights), dtype=np.int32)
        if len(light):
            # A light column is filled by the first heavy item that has mass left when its turn comes.
            self._other[light] = heavy[np.searchsorted(spare, lacking + surplus[light], side="right")]
            # A heavy item keeps what it has left after filling its light columns; the next heavy item fills the rest.
            self._own[heavy] = self._share + spare - lacking[np.searchsorted(lacking, spare)]
            self._other[heavy[:-1]] = heavy[1:]

    def draw(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return items, int32 `(size,)`."""
        columns = rng.integers(0, len(self._own), size, dtype=np.int32)
        heights = rng.integers(0, self._share, size)
        items: np.ndarray = np.where(heights < self._own[columns], columns, self._other[columns])
        return items


def integer_weights(weights: np.ndarray, n_rows: int) -> np.ndarray:
    """Return positive weights as integers in the same proportions.

    Args:
        weights: positive numbers `(I,)`.
        n_rows: times this number the sum must still fit into 62 bits.

    Returns:
        int64 `(I,)`, at least 1 each.

    Raises:
        DataError: a weight is negative, infinite or NaN.
    """
    if not ((weights >= 0) & np.isfinite(weights)).all():
        raise DataError(
            f"the weights of items must be finite and not negative; found {weights.min():g} to {weights.max():g}"
        )
    total = min(_RESOLUTION, (1 << 61) // max(1, n_rows))
    integers: np.ndarray = np.maximum(1, np.rint(weights / weights.sum() * total)).astype(np.int64)
    return integers
