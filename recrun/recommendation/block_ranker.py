"""Rank a few users at a time, over and over, as a server does: buffers are kept from one call to the next.

Shapes: B users, N pairs of a user and an item, K ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recrun.data.interactions import CSR
from recrun.evaluation.blocks import pairs_of
from recrun.evaluation.score_tiles import Scores, Tiler
from recrun.evaluation.top_lists import NO_PAIRS, Lists, Pairs, rank_block
from recrun.recommendation.recommender import Recommender

Ints = NDArray[np.int64]


class BlockRanker:
    """Ranks as a `Recommender` does, with the same lists, in the thread that calls.

    Its buffers serve one thread at a time. For new users, and where `Recommender.scores` is not thread-safe, the model
    computes as well, and only one `BlockRanker` of all may then be at work.

    Args:
        recommender: the trained model.
    """

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        self._tilers: dict[str, Tiler] = {}

    def recommend(self, users: Ints, k: int, masked: Pairs = NO_PAIRS) -> Lists:
        """Return the k best items of users of the data.

        Args:
            users: their internal ids (B,); may repeat.
            k: the most items of a list.
            masked: items that are not recommended to one of them: places in `users` (N,), internal ids of items (N,).
        """
        return self._ranked("users", self._recommender.scores, users, k, masked)

    def recommend_to_new(self, histories: CSR, k: int, masked: Pairs = NO_PAIRS) -> Lists:
        """Return the k best items of new users by their histories, B rows; arguments otherwise as for `recommend`.

        Raises:
            ConfigError: the model cannot score new users.
        """
        scores = self._recommender.scores_of_new(histories)
        return self._ranked("new users", scores, np.arange(histories.n_rows), k, masked)

    def similar_items(self, items: Ints, k: int) -> Lists:
        """Return the k items most similar to each of some; see `Recommender.similar_items`.

        Raises:
            ConfigError: the model has nothing to compare by.
        """
        itself = (np.arange(len(items)), items)
        if self._recommender.item_similarities is None:
            return self.recommend_to_new(CSR.from_pairs(*itself, len(items)), k, itself)
        return self._ranked("items", self._recommender.item_similarities, items, k, itself)

    def similar_users(self, users: Ints, k: int) -> Lists:
        """Return the k users most similar to each of some; see `Recommender.similar_users`.

        Raises:
            ConfigError: the model has no vectors of users.
        """
        itself, n_users = (np.arange(len(users)), users), self._recommender.n_users
        return self._ranked("similar users", self._recommender.user_similarities, users, k, itself, n_ranked=n_users)

    def seen_by(self, users: Ints) -> Pairs:
        """Return what users have seen: their places in `users` (N,), internal ids of items (N,)."""
        return pairs_of(self._recommender.seen, users)

    def _ranked(
        self, kind: str, scores: Scores, rows: Ints, k: int, masked: Pairs, n_ranked: int | None = None
    ) -> Lists:
        n_ranked = self._recommender.n_items if n_ranked is None else n_ranked
        tiler = self._tilers.get(kind)
        if tiler is None:
            memory = self._recommender.memory_mb << 20
            tiler = self._tilers[kind] = Tiler(scores, n_ranked, self._recommender.device, memory)
        tiler.scores = scores
        k = max(1, min(k, n_ranked))
        if len(rows) <= scores.rows:
            return rank_block(tiler, rows, k, masked)
        starts = range(0, len(rows), scores.rows)
        blocks = [
            rank_block(tiler, rows[start : start + scores.rows], k, _within(masked, start, start + scores.rows))
            for start in starts
        ]
        parts: list[Any] = [np.concatenate(arrays) for arrays in zip(*blocks, strict=True)]
        return Lists(*parts)


def _within(pairs: Pairs, start: int, stop: int) -> Pairs:
    rows_N, items_N = pairs
    inside_N = (rows_N >= start) & (rows_N < stop)
    return rows_N[inside_N] - start, items_N[inside_N]
