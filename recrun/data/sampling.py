"""Samplers of negatives: items that a user has not in train.

N users asked for, K negatives each, I items.

A draw from all items that hits a seen item is replaced by an exact draw from the unseen ones. With p the target over
all items and s the mass of the seen, an unseen item i comes up with p_i + s * p_i / (1 - s) = p_i / (1 - s): exactly
the target among the unseen, after one round, whatever share of the items a user has seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.unseen import SeenItems, UnseenItems, refuse_short_of
from recrun.registry import SAMPLERS
from recrun.types import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_BLOCK: Final = 1 << 16
"""Draws made together: their temporary arrays stay in the processor's cache."""
_RESOLUTION: Final = 1 << 40
"""What the weights of all items are made to sum up to, about, when they become integers."""


class NegativeSampler(ABC):
    """Draws negatives independently of each other; an item may come up twice for one user.

    Args:
        data: the train part.
        n_negatives: K.
        weights: what the probability of an item is proportional to, positive integers `(I,)`; None for uniform.

    Raises:
        DataError: a user has every item.
    """

    def __init__(self, data: TrainingData, n_negatives: int, weights: np.ndarray | None) -> None:
        self.n_negatives = n_negatives
        self.n_items = data.n_items
        self._seen = SeenItems(data.csr(), data.n_items)
        self._unseen = UnseenItems(data.csr(), data.n_items, weights)
        refuse_short_of(min(1, n_negatives), self._unseen.mass, "negatives")

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return K negatives for each user, none of them in the user's train row.

        Args:
            users: internal ids `(N,)`, in any order, with repetitions.
            rng: where randomness comes from.

        Returns:
            int32 `(N, K)`.
        """
        all_owners = np.repeat(users, self.n_negatives)
        items = np.empty(len(all_owners), dtype=np.int32)
        for start in range(0, len(items), _BLOCK):
            block, owners = items[start : start + _BLOCK], all_owners[start : start + _BLOCK]
            block[:] = self._propose(len(block), rng)
            hits = self._seen.find(owners, block)
            block[hits] = self._unseen.draw(owners[hits], rng)
        return items.reshape(len(users), self.n_negatives)

    @abstractmethod
    def _propose(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw from all items, int32 `(size,)`."""


@SAMPLERS.register("uniform")
class UniformNegatives(NegativeSampler):
    """Draw negatives uniformly from the items a user has not in train.

    Args:
        data: the train part.
        n_negatives: negatives behind each positive.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 1) -> None:
        super().__init__(data, n_negatives, None)

    def _propose(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, self.n_items, size, dtype=np.int32)


@SAMPLERS.register("popularity")
class PopularityNegatives(NegativeSampler):
    """Draw negatives with probability proportional to popularity^alpha among the items a user has not in train.

    Popularity is the number of users that have the item in train, at least 1, so that every item can come up and alpha
    0 is uniform. Weights are rounded to integers that sum up to about 2^40 (less for more than two million users or
    items); the draws are exact for these.

    *Source:* Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
    section 2.2 (there with alpha 0.75).

    Args:
        data: the train part.
        n_negatives: negatives behind each positive.
        alpha: how strongly popular items are preferred as negatives; 0 is uniform, 1 proportional to popularity.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 1, alpha: NonNegativeFloat = 0.75) -> None:
        popularity = np.maximum(data.item_counts(), 1).astype(np.float64)
        # Dividing by the largest first keeps any alpha finite.
        weights = integer_weights((popularity / popularity.max()) ** alpha, max(data.n_users, data.n_items))
        super().__init__(data, n_negatives, weights)
        self._table = AliasTable(weights)

    def _propose(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return self._table.draw(size, rng)


class AliasTable:
    """Draws item i with probability weights[i] / sum(weights), exactly, in constant time.

    Each of the I columns holds an equal share of the mass: the lower part belongs to its own item, the rest to one
    other (Walker, 1977). The columns are filled by one sweep over light and heavy items, written as two searches in
    running sums instead of a loop.

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
            # A heavy item keeps what is left when the light columns before have been filled; the next one fills it up.
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
        n_rows: how often the sum must fit into 62 bits.

    Returns:
        int64 `(I,)`, at least 1 each.
    """
    total = min(_RESOLUTION, (1 << 61) // max(1, n_rows))
    integers: np.ndarray = np.maximum(1, np.rint(weights / weights.sum() * total)).astype(np.int64)
    return integers
