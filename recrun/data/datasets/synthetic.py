"""Generate interactions in memory, with popular items, active users and tastes that a model can learn.

U users, I items, C clusters, N interactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import WHOLE, Preparation
from recrun.data.datasets.settings import Splitting
from recrun.data.formats.table import Ids, Table
from recrun.data.interactions import RATING, TIMESTAMP
from recrun.data.large import scratch
from recrun.data.large.pieces import pieces
from recrun.data.orders import sorted_distinct
from recrun.errors import DataError
from recrun.randomness import generator
from recrun.registry import DATASETS
from recrun.types import Annotated, NonNegativeFloat, NonNegativeInt, PositiveInt, UnitInterval, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

_FIRST_TIME = 1_600_000_000
_DURATION = 2 * 365 * 86_400
_N_TASTES = 2
_FIRST_TASTE = 0.7
_ROUNDS = 200
_VECTOR_DIM = 32
_AT_ONCE = 1 << 23
"""The most interactions that are generated together; more are generated for some users at a time, and cached."""


@DATASETS.register("Synthetic", item_vectors=True)
class Synthetic(RecDataSet):
    """Generated interactions with clusters of tastes: no download, and more to learn than popularity.

    Every item belongs to one of `n_clusters` and every user likes two of them. An interaction is drawn from the liked
    clusters with probability `taste_strength`, else from all items; within either by popularity. The popularity of
    items and the activity of users follow power laws of their rank. A user meets an item once. For models that read
    vectors of items it has some, which tell the clusters with noise.
    """

    def __init__(
        self,
        root: str | Path = ".",
        *,
        n_users: PositiveInt = 2000,
        n_items: PositiveInt = 1500,
        n_interactions: Annotated[
            PositiveInt,
            Where(
                "n_interactions <= n_users * max(n_items // 2, 1)",
                "{n_interactions} is too large: a user meets half of the items at most, so there is room for "
                "{n_users * max(n_items // 2, 1)}",
            ),
        ] = 60000,
        n_clusters: PositiveInt = 20,
        popularity_exponent: NonNegativeFloat = 0.7,
        activity_exponent: NonNegativeFloat = 0.5,
        taste_strength: UnitInterval = 0.85,
        with_ratings: bool = False,
        data_seed: NonNegativeInt = 0,
        **splitting: Unpack[Splitting],
    ) -> None:
        """Generate the data set.

        Args:
            root: not used.
            n_users: number of users; where interactions are few, some may have none.
            n_items: number of items; some may have no interaction.
            n_interactions: number of interactions in all parts together.
            n_clusters: number of tastes.
            popularity_exponent: a in the weight r^-a of the item of popularity rank r; 0 makes all items equal.
            activity_exponent: the same for the activity of users.
            taste_strength: share of interactions drawn from the user's clusters rather than from all items.
            with_ratings: add a column "rating", 1 to 5 in halves, higher for items of the user's clusters.
            data_seed: seed of what is generated.
            **splitting: how interactions are held out.

        Raises:
            DataError: more interactions are asked for than users and items allow.
        """
        super().__init__(root, Preparation(**splitting))

    @property
    def is_cached(self) -> bool:
        return bool(self.settings["n_interactions"] > _AT_ONCE)

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        wanted = self.settings
        n_users, n_items, n_interactions = wanted["n_users"], wanted["n_items"], wanted["n_interactions"]
        if n_interactions > n_users * max(n_items // 2, 1):
            raise DataError(
                f"n_interactions {n_interactions} is too large: a user meets half of the items at most, so "
                f"there is room for {n_users * max(n_items // 2, 1)}"
            )
        counts, world, rng = self._world()
        users, items = world.draw(counts, rng)
        columns = {TIMESTAMP: _times(users, n_users, rng)}
        if wanted["with_ratings"]:
            columns[RATING] = world.rate(users, items, rng)
        ids = (Ids(users, np.arange(n_users, dtype=np.int64)), Ids(items, np.arange(n_items, dtype=np.int64)))
        return {WHOLE: Table(Path("Synthetic"), *ids, columns)}

    def own_item_vectors(self) -> Mapping[str, np.ndarray]:
        """Return the vectors "synthetic", float32 (I, 32): a random one of the item's cluster, and as much noise."""
        clusters_I = self._world()[1].clusters_I[self.item_ids]
        rng = generator(self.settings["data_seed"], 0, "synthetic vectors")
        centres_CD = rng.standard_normal((self.settings["n_clusters"], _VECTOR_DIM), dtype=np.float32)
        noise_ID = rng.standard_normal((self.settings["n_items"], _VECTOR_DIM), dtype=np.float32)
        return {"synthetic": centres_CD[clusters_I] + noise_ID[self.item_ids]}

    def _world(self) -> tuple[np.ndarray, _World, np.random.Generator]:
        """Return how many interactions each user has (U,), who likes what, and the generator to go on with."""
        wanted = self.settings
        rng = generator(wanted["data_seed"], 0, "synthetic")
        counts = _activity(
            wanted["n_users"], wanted["n_items"], wanted["n_interactions"], wanted["activity_exponent"], rng
        )
        return counts, _World(wanted, rng), rng


class _World:
    """Who likes what: items sorted by cluster, with their weights added up."""

    def __init__(self, wanted: Mapping[str, float], rng: np.random.Generator) -> None:
        self.n_users, self.n_items = int(wanted["n_users"]), int(wanted["n_items"])
        self.taste_strength = wanted["taste_strength"]
        n_clusters = min(int(wanted["n_clusters"]), self.n_items)
        # The first items fill every cluster, so that none is empty.
        clusters = np.concatenate([np.arange(n_clusters), rng.integers(n_clusters, size=self.n_items - n_clusters)])
        self.clusters_I = clusters[rng.permutation(self.n_items)]
        self.tastes_UT = rng.integers(n_clusters, size=(self.n_users, _N_TASTES))
        weights = _power_law(self.n_items, wanted["popularity_exponent"], rng)
        self.by_cluster = np.argsort(self.clusters_I, kind="stable")
        self.cumulated = np.cumsum(weights[self.by_cluster])
        ends = np.cumsum(np.bincount(self.clusters_I, minlength=n_clusters))
        self.borders_C = np.concatenate([[0.0], self.cumulated[ends - 1]])

    def draw(self, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (users, items), int32, with as many different items of each user as `counts` (U,) says."""
        if (n_rows := int(counts.sum())) <= _AT_ONCE:
            return self._draw(0, counts, rng)
        users, items = scratch.empty(n_rows, np.int32), scratch.empty(n_rows, np.int32)
        ends = np.cumsum(counts)
        first = start = 0
        while first < self.n_users:
            last = max(int(np.searchsorted(ends, start + _AT_ONCE, side="right")), first + 1)
            stop = int(ends[last - 1])
            users[start:stop], items[start:stop] = self._draw(first, counts[first:last], rng)
            first, start = last, stop
        return users, items

    def _draw(self, first: int, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of as many users as there are counts, from the first one on."""
        bits = (self.n_items - 1).bit_length()
        keys = np.zeros(0, dtype=np.int64)
        lacking = counts
        for attempt in range(_ROUNDS):
            users = np.repeat(np.arange(first, first + len(counts)), lacking)
            # Whoever has met almost all they like turns to anything else in the end.
            items = (
                self._items_for(users, rng) if attempt < _ROUNDS // 10 else rng.integers(self.n_items, size=len(users))
            )
            fresh = sorted_distinct((users.astype(np.int64) << bits) | items)
            # The stable sort merges two sorted runs in linear time.
            keys = np.sort(np.concatenate([keys, _without(fresh, keys)]), kind="stable")
            lacking = counts - np.bincount((keys >> bits) - first, minlength=len(counts))
            if not lacking.any():
                return (keys >> bits).astype(np.int32), (keys & ((1 << bits) - 1)).astype(np.int32)
        raise DataError("n_interactions is too large for n_users and n_items with this activity_exponent")

    def _items_for(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an item for each entry of `users` (N,), by taste or by popularity alone."""
        chance = rng.random((3, len(users)))
        cluster = np.where(chance[0] < _FIRST_TASTE, self.tastes_UT[users, 0], self.tastes_UT[users, 1])
        by_taste = chance[1] < self.taste_strength
        start = np.where(by_taste, self.borders_C[cluster], 0.0)
        stop = np.where(by_taste, self.borders_C[cluster + 1], self.cumulated[-1])
        places = np.searchsorted(self.cumulated, start + chance[2] * (stop - start), side="right")
        items: np.ndarray = self.by_cluster[np.minimum(places, self.n_items - 1)]
        return items

    def rate(self, users: np.ndarray, items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return ratings float32 (N,), 1 to 5 in halves: the item's quality, one more for a liked cluster, noise."""
        quality = rng.normal(3.0, 0.5, size=self.n_items)
        ratings = scratch.empty(len(users), np.float32)
        for at in pieces(len(users)):
            liked = (self.tastes_UT[users[at]] == self.clusters_I[items[at]][:, None]).any(axis=1)
            exact = quality[items[at]] + liked + rng.normal(0.0, 0.5, size=len(liked))
            ratings[at] = np.clip(np.round(2 * exact) / 2, 1.0, 5.0)
        return ratings


def _power_law(n: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return weights (n,) of a power law of the rank, in random order."""
    return rng.permutation(np.arange(1, n + 1, dtype=np.float64) ** -exponent)


def _activity(n_users: int, n_items: int, n_interactions: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Return the number of interactions of each user, int64 (U,): at most half of the items, given sum."""
    most = max(n_items // 2, 1)
    weights = _power_law(n_users, exponent, rng)
    counts = np.zeros(n_users, dtype=np.int64)
    while (missing := n_interactions - int(counts.sum())) > 0:
        open_weights = np.where(counts < most, weights, 0.0)
        share = open_weights / open_weights.sum() * missing
        added = np.floor(share).astype(np.int64)
        rest = missing - int(added.sum())
        added[np.argsort(added - share, kind="stable")[:rest]] += 1
        counts = np.minimum(counts + added, most)
    return counts


def _without(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the values that are not in the sorted array `known`."""
    if not len(known):
        return values
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    absent: np.ndarray = values[known[places] != values]
    return absent


def _times(users: np.ndarray, n_users: int, rng: np.random.Generator) -> np.ndarray:
    """Return a moment for each interaction, int64 seconds (N,): users join one after the other and stay."""
    joined = rng.random(n_users) * 0.8
    times = scratch.empty(len(users), np.int64)
    for at in pieces(len(users)):
        start = joined[users[at]]
        moments = start + rng.random(len(start)) * (1.0 - start)
        times[at] = _FIRST_TIME + moments * _DURATION
    return times
