"""Draw negatives that all rows of a batch share, so that they are scored by one matrix product.

Shapes: B rows of a batch, K shared negatives, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from recrun.data.interactions import CSR
from recrun.data.sampling.alias_table import AliasTable, integer_weights
from recrun.registry import SAMPLERS
from recrun.types import Annotated, AppliesIf, NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@SAMPLERS.register("shared", draws="shared")
class SharedNegatives:
    """Draw the negatives of a batch once, with probability proportional to popularity^alpha, and share them.

    Items are drawn from all items, with repetition. A row compares its positive with those of them that are not this
    positive and, unless `seen_as_negatives`, that its user has not interacted with in train; so rows may have fewer
    than K negatives. With `batch_positives`, the positives of all other rows of the batch are negatives too, or alone.

    Popularity is the number of users that have interacted with the item in train, at least 1.

    *Source:* Hidasi and Karatzoglou, CIKM 2018, section 3 (additional samples), for sharing and popularity^alpha; there
    and in Hidasi et al., ICLR 2016, section 3.2.2, for the other rows of the batch.

    Args:
        data: the train part.
        n_negatives: negatives drawn for a batch.
        alpha: how strongly popular items are preferred; 0 is uniform, 1 proportional to popularity.
        batch_positives: whether the positives of all other rows of the batch are "added" to the negatives, are the
            "only" ones, or "none" of them.
        seen_as_negatives: whether items that a row's user has interacted with in train stay its negatives.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        n_negatives: Annotated[PositiveInt, AppliesIf("batch_positives != 'only'", "no negatives are drawn")] = 512,
        alpha: Annotated[NonNegativeFloat, AppliesIf("batch_positives != 'only'", "no negatives are drawn")] = 0.0,
        batch_positives: Literal["none", "added", "only"] = "none",
        seen_as_negatives: bool = False,
    ) -> None:
        self.n_negatives = 0 if batch_positives == "only" else n_negatives
        self._adds_positives = batch_positives != "none"
        self._rows, self._sees = data.csr(), not seen_as_negatives
        popularity = np.maximum(data.item_counts(), 1).astype(np.float64)
        weights = integer_weights((popularity / popularity.max()) ** alpha, max(data.n_users, data.n_items))
        self._table, self._drawn = AliasTable(weights), weights / weights.sum()
        self.take_frequencies(np.bincount(data.interactions.items, minlength=data.n_items))

    def take_frequencies(self, frequencies: np.ndarray, n_each: int = 1) -> None:
        """Set how often each item is a positive, up to a factor.

        Args:
            frequencies: `(I,)`; by default they are those of all interactions.
            n_each: the positives of a row.
        """
        self._frequencies, self._n_each = frequencies / frequencies.sum(), n_each

    def draw_shared(self, positives: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the negatives of a batch, int64 `(K,)`: those drawn, then the positives of the batch, if they count.

        Args:
            positives: the positives of the batch, integers of any shape.
            rng: the source of randomness.
        """
        drawn = self._table.draw(self.n_negatives, rng).astype(np.int64)
        return np.concatenate((drawn, positives.reshape(-1))) if self._adds_positives else drawn

    def find_seen(self, users: np.ndarray, shared: np.ndarray) -> np.ndarray:
        """Return which of the shared negatives do not count for a user, bool `(B, K)`.

        Args:
            users: internal ids `(B,)`.
            shared: what `draw_shared` returned, `(K,)`.
        """
        is_seen = np.zeros((len(users), len(shared)), dtype=bool)
        if self._sees:
            order = np.argsort(shared, kind="stable")
            indptr, columns = positions_of(self._rows, users, shared[order])
            is_seen[np.repeat(np.arange(len(users)), np.diff(indptr)), order[columns]] = True
        return is_seen

    def log_probability(self, shared: np.ndarray) -> np.ndarray:
        """Return the log-probability that a draw is an item, float32 `(K,)`, for items `(K,)` of `draw_shared`.

        With the positives of the batch, it is that of one of all draws, of those from the table and those that are the
        positives of other rows (the balance heuristic): a draw counts alike, wherever the item was drawn from.

        *Source:* Veach and Guibas, SIGGRAPH 1995, section 3, for the combination; Yi et al., RecSys 2019, for the
        probability of a positive of the batch.
        """
        of_others = max(len(shared) - self.n_negatives - self._n_each, 0) if self._adds_positives else 0
        expected = self.n_negatives * self._drawn[shared] + of_others * self._frequencies[shared]
        log_q: np.ndarray = np.log(np.maximum(expected, np.finfo(np.float32).tiny) / len(shared)).astype(np.float32)
        return log_q


def positions_of(rows: CSR, users: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where the items of users stand in a list of items, as (indptr (B + 1,), positions), row by row.

    Args:
        rows: each user's items.
        users: row numbers `(B,)`.
        ordered: items, ascending; may repeat.
    """
    indptr, items = rows.rows(users)
    first, last = (np.searchsorted(ordered, items, side=side) for side in ("left", "right"))
    lengths = last - first
    ends = np.cumsum(lengths)
    positions = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - lengths), lengths)
    return np.concatenate(([0], ends))[indptr], positions
