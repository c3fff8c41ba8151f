"""Rank items by processes that each have the vectors of some users and of some items.

For each chunk of users, their vectors go to all processes. Each ranks its own items, and the one that leads puts the
lists together: the best items of all are among the best of each process.

Shapes: C users of a chunk, U users, S items of this process, K ranks, D length of vectors, P processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.data.interactions import CSR
from recrun.evaluation.blocks import in_blocks, pairs_of
from recrun.evaluation.score_tiles import ProductScores, Tiler
from recrun.evaluation.sharing import Divided, Sharing, collected, part_of
from recrun.evaluation.top_lists import Lists, rank_block

Array = NDArray[Any]

_CHUNK: Final = 1 << 13
"""Users whose vectors are sent at a time."""


class ItemShards:
    """Ranks all items for users, a part of them in each process.

    Args:
        model: whose vectors are ranked, as they are now.
        sharing: the processes; all do the same at once.
        divided: says which users and items are whose.
        seen: items that are not ranked for each user, U rows.
        candidates: the items that are ranked for each user; all if None.
        k: K.
        device: where to rank.
        memory: bytes to use for tiles.
    """

    def __init__(
        self,
        model: Any,
        sharing: Sharing,
        divided: Divided,
        *,
        seen: CSR,
        candidates: CSR | None,
        k: int,
        device: torch.device,
        memory: int,
    ) -> None:
        self._sharing, self._divided = sharing, divided
        self._seen, self._candidates = seen, candidates
        self._k, self._device, self._memory = k, device, memory
        with torch.no_grad():
            users, items = divided.vectors(model)
        self._users, self._items = users.detach(), items.detach()

    def blocks(self, rank: Callable[[Lists], Any]) -> Callable[[Array], Iterator[Any]]:
        """Return a function from users (U,), ascending, to the results of their chunks in the process that leads.

        Args:
            rank: called there with the lists of each chunk.
        """

        def ranked(users: Array) -> Iterator[Any]:
            for start in range(0, len(users), _CHUNK):
                lists = self.lists(users[start : start + _CHUNK])
                if lists is not None:
                    yield rank(lists)

        return ranked

    def lists(self, users_C: Array) -> Lists | None:
        """Return the best items of some users among all, ascending by number; None if another process leads."""
        own = self._own_lists(users_C, self._vectors_of(users_C))
        parts = collected([own.items_BK, own.scores_BK], self._sharing)
        if not self._sharing.leads:
            return None
        items_CN, scores_CN = (np.concatenate([part[place] for part in parts], axis=1) for place in (0, 1))
        # Of equal scores the smaller number comes first, as in `TopK`.
        order_CK = np.lexsort((items_CN, -scores_CN))[:, : self._k]
        return Lists(users_C, *(np.take_along_axis(each, order_CK, axis=1) for each in (items_CN, scores_CN)))

    def _vectors_of(self, users_C: Array) -> Tensor:
        """Return the vectors (C, D) of some users, each from the process that has it."""
        sharing, n_users = self._sharing, self._divided.n_users
        ends = [part_of(n_users, rank, sharing.n).stop for rank in range(sharing.n)]
        places = np.searchsorted(users_C, [0, *ends])
        counts = np.diff(places)
        mine = users_C[places[sharing.rank] : places[sharing.rank + 1]] - self._divided.users.start
        sent = self._users.new_zeros(int(counts.max()), self._users.shape[1])
        sent[: len(mine)] = self._users[torch.from_numpy(mine).to(self._users.device)]
        received = sharing.gather(sent)
        return torch.cat([part[:count] for part, count in zip(received, counts.tolist(), strict=True)])

    def _own_lists(self, users_C: Array, vectors_CD: Tensor) -> Lists:
        """Return the best items of some users among those of this process."""
        scores, n_items = ProductScores(vectors_CD, self._items, self._device), len(self._items)
        k = min(self._k, n_items)

        def rank(places_B: Array, tiler: Tiler) -> Lists:
            users_B = users_C[places_B]
            masked = self._own_pairs(self._seen, users_B)
            only = None if self._candidates is None else self._own_pairs(self._candidates, users_B)
            return rank_block(tiler, places_B, k, masked, only=only, names_B=users_B)

        with in_blocks(rank, scores, n_items, self._device, self._memory) as ranked:
            blocks = list(ranked(np.arange(len(users_C))))
        items_CK, scores_CK = (np.concatenate([block[place] for block in blocks]) for place in (1, 2))
        return Lists(users_C, np.where(items_CK >= 0, items_CK + self._divided.items.start, -1), scores_CK)

    def _own_pairs(self, rows: CSR, users_B: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the stored pairs of some users whose items are in this process, counted from its first."""
        rows_N, items_N = pairs_of(rows, users_B)
        is_own_N = (items_N >= self._divided.items.start) & (items_N < self._divided.items.stop)
        return rows_N[is_own_N], items_N[is_own_N] - self._divided.items.start
