"""Define the kind of metrics that look at which items are in each list, and at what users had seen before.

Shapes: B users of a batch, U users, I items, K ranks, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from recrun.errors import ConfigError
from recrun.metrics.kinds import Evaluated, MeanOverUsers, Metric, Rankings
from recrun.metrics.ranking import Array, Doubles, ratio
from recrun.registry import METRIC_KINDS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SHORT_HEAD: Final = 20
"""The most popular items that hold so many percent of the seen interactions are the head of three categories."""
LONG_TAIL: Final = 80
"""The items outside the most popular ones that hold so many percent of the seen interactions are the long tail."""
N_CATEGORIES: Final = 3


class Recommended(NamedTuple):
    """The lists of some users, cut to the first k ranks."""

    users_B: Array
    """Their ids, ascending."""
    items_BK: Array
    """The items in rank order, at most k; -1 where a rank is empty."""
    hits_BK: Array
    """Whether they are relevant."""
    n_relevant_B: Array
    """How many relevant items each user has, at least 1."""
    k: int
    """The cutoff, which may be larger than K where there are fewer items."""

    @property
    def is_filled_BK(self) -> Array:
        """Whether a rank holds an item."""
        return self.items_BK >= 0

    def mean(self, values_I: Array) -> Doubles:
        """Return the mean of the items' values over the filled ranks of each list, (B,); NaN for an empty list."""
        is_filled_BK = self.is_filled_BK
        sums_B = np.where(is_filled_BK, values_I[self.items_BK], 0).sum(axis=1, dtype=np.float64)
        return ratio(sums_B, is_filled_BK.sum(axis=1))


class Known:
    """What is known of items and users from the seen interactions; every array is computed when first asked for.

    Seen are the interactions of train, for test also those of valid. Masked are those whose items are not recommended:
    these, or none.

    Args:
        data: what is evaluated.
    """

    def __init__(self, data: Evaluated) -> None:
        self.n_items = data.n_items
        self.seen = data.seen
        self.masked = data.seen if data.masked is None else data.masked
        self.relevant = data.relevant
        self.popularity_I: Array = data.popularity_I
        """How many users have seen each item."""

    @cached_property
    def rank_I(self) -> Array:
        """Each item's place, from 0, among all by popularity; of equally popular ones the smaller id comes first."""
        rank_I = np.empty(self.n_items, dtype=np.int64)
        rank_I[self._by_popularity_I] = np.arange(self.n_items)
        return rank_I

    @cached_property
    def seen_IU(self) -> csr_matrix:
        """The users who have seen each item, as ones of a sparse matrix (I, U)."""
        found: csr_matrix = self.seen.to_scipy(self.n_items).T.tocsr()
        return found

    @cached_property
    def is_long_tail_I(self) -> Array:
        """Whether an item is outside the fewest items that hold `LONG_TAIL` percent of the seen interactions."""
        return np.asarray(self.rank_I >= self._n_holding(LONG_TAIL))

    @cached_property
    def category_I(self) -> Array:
        """The popularity category of each item: 0 head, 1 middle, 2 long tail."""
        is_head_I = self.rank_I < self._n_holding(SHORT_HEAD)
        return np.where(is_head_I, 0, np.where(self.is_long_tail_I, 2, 1))

    @cached_property
    def profile_popularity_U(self) -> Doubles:
        """The mean popularity of the items that each user has seen; NaN without any."""
        lengths_U = self.seen.lengths
        users_N = np.repeat(np.arange(len(lengths_U)), lengths_U)
        sums_U = np.bincount(users_N, self.popularity_I[self.seen.indices], minlength=len(lengths_U))
        return ratio(sums_U, lengths_U)

    @cached_property
    def categories_UC(self) -> Array:
        """How many items of each category each user has seen."""
        lengths_U = self.seen.lengths
        users_N = np.repeat(np.arange(len(lengths_U)), lengths_U)
        keys_N = users_N * N_CATEGORIES + self.category_I[self.seen.indices]
        return np.bincount(keys_N, minlength=len(lengths_U) * N_CATEGORIES).reshape(-1, N_CATEGORIES)

    @cached_property
    def _by_popularity_I(self) -> Array:
        return np.argsort(-self.popularity_I.astype(np.int64), kind="stable")

    def _n_holding(self, percent: int) -> int:
        """Return how many items, the most popular first, hold at least this share of the seen interactions."""
        held_I = np.cumsum(self.popularity_I[self._by_popularity_I].astype(np.int64))
        total = int(held_I[-1]) if len(held_I) else 0
        return int(np.searchsorted(held_I * 100, percent * total)) + 1 if total else 0


@METRIC_KINDS.register("recommended", cutoff=True)
class OfRecommended(MeanOverUsers):
    """Means over users of `(lists: Recommended, known: Known) -> (B,)`, NaN for a user who is left out of the mean.

    `recrun.metrics.recommended` has both classes.
    """

    nobody = "no user has enough recommended and seen items for it"

    def __init__(self, metrics: Sequence[Metric], data: Evaluated) -> None:
        super().__init__(metrics, data)
        if data.seen is None:
            names = ", ".join(str(metric.name) for metric in metrics)
            raise ConfigError(f"{names}: computed from what users have seen, so dense predictions are not enough")
        self._known = Known(data)

    def of_users(self, metric: Metric, rankings: Rankings) -> Doubles:
        k = metric.k
        lists = Recommended(
            rankings.users_B, rankings.items_BK[:, :k], rankings.hits_BK[:, :k], rankings.n_relevant_B, k
        )
        values_B: Doubles = metric.compute(lists, self._known)
        return values_B
