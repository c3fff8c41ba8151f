"""Negative samplers: draw items that a user has not interacted with in train.

Shapes: N users asked for, B rows of a batch, K negatives each, M candidates for each of them, I items.

A draw from all items that hits a seen item is replaced by an exact draw from the unseen ones. With p the target
distribution over all items and s the probability of the seen ones, an unseen item i is drawn with probability
p_i + s * p_i / (1 - s) = p_i / (1 - s): exactly the target among the unseen items, after a single redraw, whatever
share of the items a user has seen.

A sampler's trait `draws` says how it draws: for single rows (without the trait), for a whole "batch", or "candidates"
from which the model chooses in training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.interactions import CSR
from recrun.data.sampling.alias_table import AliasTable, integer_weights
from recrun.data.sampling.foreign import drawn_items
from recrun.data.sampling.shared import positions_of
from recrun.data.sampling.unseen import SeenItems, UnseenItems, refuse_short_of
from recrun.registry import SAMPLERS
from recrun.registry.user_files import is_foreign
from recrun.types import NonNegativeFloat, PositiveInt, UnitInterval

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_BLOCK: Final = 1 << 16
"""Draws made at a time: few enough for their temporary arrays to stay in the processor's cache."""


class NegativeSampler(ABC):
    """Draws negatives independently of each other; an item may be drawn twice for one user.

    Args:
        data: the train part.
        n_negatives: K.
        weights: the probability of an item is proportional to its weight, positive integers `(I,)`; None for uniform.

    Raises:
        DataError: a user has interacted with every item.
    """

    def __init__(self, data: TrainingData, n_negatives: int, weights: np.ndarray | None) -> None:
        self.n_negatives = n_negatives
        self.n_items = data.n_items
        self._weights = weights
        self._is_foreign = is_foreign(type(self))
        self._seen = SeenItems(data.csr(), data.n_items)
        self._unseen = UnseenItems(data.csr(), data.n_items, weights)
        refuse_short_of(min(1, n_negatives), self._unseen.mass, "negatives", data.user_ids)

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return K negatives for each user, none of them in the user's train row.

        Args:
            users: internal ids `(N,)`, in any order; may repeat.
            rng: the source of randomness.

        Returns:
            int32 `(N, K)`.
        """
        all_owners = np.repeat(users, self.n_negatives)
        items = np.empty(len(all_owners), dtype=np.int32)
        for start in range(0, len(items), _BLOCK):
            block, owners = items[start : start + _BLOCK], all_owners[start : start + _BLOCK]
            proposed = self._propose(len(block), rng)
            if self._is_foreign:
                who = f"sampler {type(self).__name__}: _propose()"
                proposed = drawn_items(proposed, block.shape, self.n_items, who)
            block[:] = proposed
            hits = self._seen.find(owners, block)
            block[hits] = self._unseen.draw(owners[hits], rng)
        return items.reshape(len(users), self.n_negatives)

    def log_probability(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the log-probability that one draw for a user is an item, float32 `(N, K)`.

        Args:
            users: internal ids `(N,)`.
            items: unseen items of these users, `(N, K)`.
        """
        weights = np.ones(items.shape) if self._weights is None else self._weights[items]
        log_q = np.log(weights / self._unseen.mass[users][:, None])
        return np.asarray(log_q, dtype=np.float32)

    @abstractmethod
    def _propose(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Draw from all items, int32 `(size,)`."""


@SAMPLERS.register("uniform")
class UniformNegatives(NegativeSampler):
    """Draw negatives uniformly from the items that a user has not interacted with in train.

    Args:
        data: the train part.
        n_negatives: negatives per positive.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 1) -> None:
        super().__init__(data, n_negatives, None)

    def _propose(self, size: int, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(0, self.n_items, size, dtype=np.int32)


@SAMPLERS.register("popularity")
class PopularityNegatives(NegativeSampler):
    """Draw negatives from a user's unseen items, with probability proportional to popularity^alpha.

    Popularity is the number of users that have interacted with the item in train, at least 1, so that every item can be
    drawn and alpha 0 is uniform. Weights are rounded to integers that sum to about 2^40 (less for more than two million
    users or items); the draws are exact for the rounded weights.

    *Source:* Mikolov et al., Distributed Representations of Words and Phrases and their Compositionality, NIPS 2013,
    section 2.2 (there with alpha 0.75).

    Args:
        data: the train part.
        n_negatives: negatives per positive.
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


@SAMPLERS.register("in_batch", draws="batch")
class InBatchNegatives:
    """Draw negatives from the positives of the other rows in the batch, except items that the user has seen in train.

    Every row of the batch whose item is unseen by the user is equally likely, so an item is drawn in proportion to how
    often it is a positive in the batch: with epochs over all interactions, to its popularity. Where a batch has no such
    row for a user (a batch of one row, for instance), negatives are drawn uniformly from all unseen items.

    *Source:* Hidasi, Karatzoglou, Baltrunas and Tikk, ICLR 2016 (GRU4Rec), section 3.2.2.

    Args:
        data: the train part.
        n_negatives: negatives per positive, drawn with repetition.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 1) -> None:
        self.n_negatives = n_negatives
        self._rows = data.csr()
        self._seen = SeenItems(self._rows, data.n_items)
        self._uniform = UniformNegatives(data, n_negatives=1)
        self.take_frequencies(np.bincount(data.interactions.items, minlength=data.n_items))

    def take_frequencies(self, frequencies: np.ndarray) -> None:
        """Set how often each item is a positive, up to a factor, `(I,)`; by default it is that of all interactions."""
        owners, items = self._rows.pairs()
        seen = np.bincount(owners, frequencies[items], minlength=self._rows.n_rows)
        least = frequencies[frequencies > 0].min()
        # Items that are no positives are drawn if a batch has no row for a user; then there may be no mass either.
        self._frequencies = np.maximum(frequencies, least)
        self._mass = np.maximum(frequencies.sum() - seen, least)

    def draw_from_batch(self, users: np.ndarray, positives: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return K negatives for each row of a batch, int32 `(B, K)`.

        Args:
            users: the rows' users, `(B,)`.
            positives: the rows' items, `(B,)`.
            rng: the source of randomness.
        """
        owners = np.repeat(np.arange(len(users)), self.n_negatives)
        items = positives[rng.integers(0, len(users), len(owners), dtype=np.int32)].astype(np.int32)
        hits = self._seen.find(users[owners], items)
        others = UnseenItems(CSR(*positions_of(self._rows, users, np.sort(positives))), len(users))
        has_others = others.mass[owners[hits]] > 0
        positions = others.draw(owners[hits[has_others]], rng)
        items[hits[has_others]] = np.sort(positives)[positions]
        lost = hits[~has_others]
        items[lost] = self._uniform.draw(users[owners[lost]], rng)[:, 0]
        return items.reshape(len(users), self.n_negatives)

    def log_probability(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the log-probability that one draw for a user is an item, float32 `(N, K)`.

        It is that of an average batch: the item's share of the positives of an epoch that the user has not seen. This
        is exact where the batch has a row with such an item, since each of these rows is any of them equally likely.

        Args:
            users: internal ids `(N,)`.
            items: unseen items of these users, `(N, K)`.
        """
        log_q = np.log(self._frequencies[items] / self._mass[users][:, None])
        return np.asarray(log_q, dtype=np.float32)


@SAMPLERS.register("mixed", draws="batch", min_negatives=2)
class MixedNegatives:
    """Draw some negatives uniformly and the others from the batch, so that rare items are drawn as well.

    *Source:* Yang, Yi, Cheng, Hong, Li, Wang, Xu and Chi, WWW 2020 companion (mixed negative sampling), section 3.

    Args:
        data: the train part.
        n_negatives: negatives per positive.
        uniform_share: share of them that is drawn uniformly, rounded so that there is at least one of each kind.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 2, uniform_share: UnitInterval = 0.5) -> None:
        self.n_negatives = n_negatives
        n_uniform = min(max(1, round(n_negatives * uniform_share)), n_negatives - 1)
        self._uniform = UniformNegatives(data, n_negatives=n_uniform)
        self._in_batch = InBatchNegatives(data, n_negatives=n_negatives - n_uniform)

    def draw_from_batch(self, users: np.ndarray, positives: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return K negatives for each row of a batch, int32 `(B, K)`: first the uniform, then the in-batch ones."""
        uniform = self._uniform.draw(users, rng)
        return np.concatenate((uniform, self._in_batch.draw_from_batch(users, positives, rng)), axis=1)

    def take_frequencies(self, frequencies: np.ndarray) -> None:
        """Set how often each item is a positive, up to a factor, `(I,)`."""
        self._in_batch.take_frequencies(frequencies)

    def log_probability(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the log-probability that a draw is an item, as the mixture of both kinds by their shares, `(N, K)`."""
        share = self._uniform.n_negatives / self.n_negatives
        parts = np.stack([each.log_probability(users, items) for each in (self._uniform, self._in_batch)])
        parts += np.log([share, 1 - share], dtype=np.float32)[:, None, None]
        mixture: np.ndarray = np.logaddexp(parts[0], parts[1])
        return mixture


@SAMPLERS.register("dns", draws="candidates")
class DynamicNegatives:
    """Draw several unseen items uniformly for each negative and train on the one that the model scores highest.

    *Source:* Zhang, Chen, Wang and Yu, SIGIR 2013 (dynamic negative item sampling), section 3.

    Args:
        data: the train part.
        n_negatives: negatives per positive.
        n_candidates: items from which each negative is chosen; 1 is the same as `uniform`.
    """

    def __init__(self, data: TrainingData, *, n_negatives: PositiveInt = 1, n_candidates: PositiveInt = 5) -> None:
        self.n_negatives, self.n_candidates = n_negatives, n_candidates
        self._uniform = UniformNegatives(data, n_negatives=n_negatives * n_candidates)

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the candidates for each user, int32 `(N, K, M)`; arguments as for other samplers."""
        return self._uniform.draw(users, rng).reshape(len(users), self.n_negatives, self.n_candidates)
