"""Find the best items of users in an approximate index of item vectors, where ranking all items would take too long.

Items that are found are scored again in double precision and put in order; only which of them are found is approximate.
How many of the exact best items are found is measured on a sample of users, and is a part of the result.

Shapes: B users of a block, U users, I items, K ranks, D length of the vectors, A items asked of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.architectures.base import RecSysArch
from recrun.config.family import family_of_class
from recrun.config.trackers import is_installed
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, TrainingError
from recrun.evaluation.blocks import pairs_of
from recrun.evaluation.item_index import build_index, found_by, index_parameters, use_threads
from recrun.evaluation.score_tiles import ProductScores, Tiler, smallest_tile
from recrun.evaluation.top_lists import Lists, rank_block
from recrun.randomness import generator

Array = NDArray[Any]

N_MEASURED: Final = 1000
"""Users on whom the recall of an index is measured."""
_BLOCK: Final = 256
_SURPLUS: Final = (0, 16, 64, 256)
"""Items asked for beside K, of which the least that covers a user's seen items is taken, or the largest."""


@dataclass(frozen=True)
class IndexSearch:
    """Which index is searched.

    Args:
        kind: "hnsw" or "ivf".
        breadth: how many items of HNSW are looked at, or how many lists of IVF are searched; None for the usual number.
    """

    kind: str
    breadth: int | None = None

    def check(self, model: Any, base: Any) -> None:
        """Check that the scores of a model can be searched.

        Raises:
            ConfigError: they are no products of vectors, or faiss is not installed.
        """
        if not is_installed("faiss"):
            raise ConfigError("eval_index needs the package faiss, which is not installed: pip install 'recrun[faiss]'")
        kind = type(model)
        of_held_out = base.given() is not None and not family_of_class(kind).histories
        if kind.vectors is RecSysArch.vectors or (of_held_out and kind.embed_histories is RecSysArch.embed_histories):
            who = "new users" if of_held_out else "users and items"
            raise ConfigError(
                f"eval_index needs scores that are products of vectors, and {kind.__name__} has no vectors of {who}; "
                "set eval_index to null"
            )

    def describe(self, n_items: int) -> dict[str, Any]:
        """Return what a result says of the search."""
        return {"eval_index": self.kind, "eval_index_parameters": index_parameters(self.kind, n_items, self.breadth)}

    def open(self, model: Any, seen: CSR, n_items: int, k: int, memory: int) -> OpenSearch:
        """Build the index of a model's vectors as they are now.

        Args:
            model: has `vectors() -> ((U, D), (I, D))`.
            seen: items not to recommend, U rows.
            n_items: I.
            k: K.
            memory: bytes to use for exact rankings.

        Raises:
            TrainingError: there are no vectors, or they hold NaN or infinite numbers.
        """
        with torch.no_grad():
            vectors = model.vectors()
        if vectors is None:
            raise TrainingError("eval_index needs vectors, and vectors() returned none; set eval_index to null")
        users_UD, items_ID = (each.detach().cpu() for each in vectors)
        for name, each in (("users", users_UD), ("items", items_ID)):
            if not bool(torch.isfinite(each).all()):
                raise TrainingError(f"vectors() returned NaN or infinite numbers for {name}, which cannot be searched")
        # One thread adds items to HNSW in their order, so that its links are the same each time.
        use_threads(1 if self.kind == "hnsw" else torch.get_num_threads())
        index = build_index(np.ascontiguousarray(items_ID.numpy(), dtype=np.float32), self.kind, self.breadth)
        use_threads(torch.get_num_threads())
        exact = ProductScores(users_UD, items_ID, torch.device("cpu"))
        tiler = Tiler(exact, n_items, torch.device("cpu"), max(memory, smallest_tile(exact)))
        return OpenSearch(index, users_UD, items_ID, seen, k, tiler)


@dataclass
class OpenSearch:
    """An index of the vectors of a model.

    Args:
        index: of the items.
        users_UD: vectors of users.
        items_ID: vectors of items.
        seen: items not to recommend, U rows.
        k: K, at most I.
        tiler: computes exact scores.
    """

    index: Any
    users_UD: torch.Tensor
    items_ID: torch.Tensor
    seen: CSR
    k: int
    tiler: Tiler

    def blocks(self, rank: Callable[[Lists], Any]) -> Callable[[Array], Iterator[Any]]:
        """Return a function from users (U,) to the results of their blocks, in order.

        Args:
            rank: called with the lists of each block.
        """
        return lambda users: (
            rank(self.lists(users[start : start + _BLOCK])[0]) for start in range(0, len(users), _BLOCK)
        )

    def lists(self, users_B: Array) -> tuple[Lists, NDArray[np.bool_]]:
        """Return the best items of some users that the index finds, and whose lists were ranked exactly.

        A user for whom fewer than K unseen items are found though there are more, or whose vector is 0, has an exact
        ranking.
        """
        items_BK = np.full((len(users_B), self.k), -1, dtype=np.int64)
        scores_BK = np.full((len(users_B), self.k), -np.inf)
        n_seen_B = self.seen.lengths[users_B]
        level_B = np.minimum(np.searchsorted(_SURPLUS, n_seen_B), len(_SURPLUS) - 1)
        for level in np.unique(level_B):
            rows_G = np.flatnonzero(level_B == level)
            n_asked = min(len(self.items_ID), self.k + _SURPLUS[level])
            items_BK[rows_G], scores_BK[rows_G] = self._found(users_B[rows_G], n_asked)
        n_due_B = np.minimum(self.k, len(self.items_ID) - n_seen_B)
        has_vector_B = self.users_UD[torch.from_numpy(users_B)].ne(0).any(dim=1).numpy()
        is_exact_B = ((items_BK >= 0).sum(axis=1) < n_due_B) | ~has_vector_B
        rows_E = np.flatnonzero(is_exact_B)
        if len(rows_E):
            found = self.exact(users_B[rows_E])
            items_BK[rows_E], scores_BK[rows_E] = found.items_BK, found.scores_BK
        return Lists(users_B, items_BK, scores_BK), is_exact_B

    def measure(self, users: Array, values_of: Callable[[Lists], Mapping[str, float]]) -> dict[str, Any]:
        """Compare lists of some users with exact ones.

        Args:
            users: all users that are ranked; of more than `N_MEASURED`, so many are drawn.
            values_of: returns the metrics of lists.

        Returns:
            "users": how many; "recall": the share of exact lists' items that are found, and "k": the length of these;
            "ranked_exactly": for how many users the index found too few items; "differences": metrics of the lists
            found less those of exact lists, without undefined ones.
        """
        users_M = measured_users(users)
        blocks = [self.lists(users_M[start : start + _BLOCK]) for start in range(0, len(users_M), _BLOCK)]
        found = Lists(*(np.concatenate([lists[place] for lists, _ in blocks]) for place in range(3)))
        exact = self.exact(users_M)
        ours, theirs = values_of(found), values_of(exact)
        differences = {name: ours[name] - theirs[name] for name in ours}
        return {
            "users": len(users_M),
            "k": self.k,
            "recall": share_found(found, exact),
            "ranked_exactly": int(sum(is_exact_B.sum() for _, is_exact_B in blocks)),
            "differences": {name: value for name, value in differences.items() if np.isfinite(value)},
        }

    def exact(self, users_B: Array) -> Lists:
        """Return the best items of some users among all."""
        step = self.tiler.scores.rows
        parts = [
            rank_block(self.tiler, part_B, self.k, pairs_of(self.seen, part_B))
            for part_B in (users_B[start : start + step] for start in range(0, len(users_B), step))
        ]
        return Lists(users_B, *(np.concatenate([part[place] for part in parts]) for place in (1, 2)))

    def _found(self, users_B: Array, n_asked: int) -> tuple[Array, Array]:
        """Return the unseen items (B, K) that the index finds, scored anew and in order, and their scores."""
        vectors_BD = self.users_UD[torch.from_numpy(users_B)]
        items_BA = found_by(self.index, np.ascontiguousarray(vectors_BD.numpy(), dtype=np.float32), n_asked)
        vectors_BAD = self.items_ID[torch.from_numpy(np.maximum(items_BA, 0))].double()
        scores_BA = torch.bmm(vectors_BAD, vectors_BD.double()[:, :, None])[:, :, 0].numpy()
        rows_N, seen_N = pairs_of(self.seen, users_B)
        keys_BA = np.arange(len(users_B))[:, None] * len(self.items_ID) + items_BA
        is_left_out_BA = (items_BA < 0) | np.isin(keys_BA, rows_N * len(self.items_ID) + seen_N)
        scores_BA = np.where(is_left_out_BA, -np.inf, scores_BA)
        order_BK = np.lexsort((items_BA, -scores_BA), axis=1)[:, : self.k]
        items_BK = np.take_along_axis(np.where(is_left_out_BA, -1, items_BA), order_BK, axis=1)
        return items_BK, np.take_along_axis(scores_BA, order_BK, axis=1)


def measured_users(users: Array) -> Array:
    """Return the users on whom the recall of an index is measured, ascending."""
    drawn: Array = np.sort(generator(0, 0, "users of an index").permutation(users)[:N_MEASURED])
    return drawn


def share_found(found: Lists, exact: Lists) -> float | None:
    """Return the share of exact lists' items that are in the lists found; None if the exact ones are empty."""
    n_hits = sum(
        len(np.intersect1d(ours[ours >= 0], theirs[theirs >= 0]))
        for ours, theirs in zip(found.items_BK, exact.items_BK, strict=True)
    )
    n_items = int((exact.items_BK >= 0).sum())
    return n_hits / n_items if n_items else None
