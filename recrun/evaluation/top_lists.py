"""Rank items for users, and return the best of them with their scores.

The order is the one that evaluations rank in: exact, and of equal scores the smaller internal id first. Memory does not
grow with users x items, and no list depends on how the work is split up.

Shapes: B users of a block, U users, K ranks, I items.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.data.interactions import CSR
from recrun.evaluation.blocks import in_blocks, pairs_of
from recrun.evaluation.score_tiles import Scores, Tiler
from recrun.metrics.topk import TopK

_PLACES: Final = 1 << 21
"""Ranks, over all users, that are kept at a time."""
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
NO_PAIRS: Final[Pairs] = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


class Lists(NamedTuple):
    """The best items of some users."""

    users_B: NDArray[np.int64]
    items_BK: NDArray[np.int64]
    """-1 at empty ranks, which come last."""
    scores_BK: NDArray[np.float64]
    """-inf at empty ranks."""


def top_lists(
    scores: Scores,
    users: NDArray[np.int64],
    *,
    n_items: int,
    k: int,
    excluded: CSR | None = None,
    barred: NDArray[np.int64] | None = None,
    device: torch.device | str = "cpu",
    memory_mb: int = 512,
) -> Iterator[Lists]:
    """Yield the k best items of users, block by block.

    Args:
        scores: the scores of all items (`recrun.evaluation.score_tiles.scores_of`).
        users: whom to rank for, internal ids; may repeat.
        n_items: I.
        k: K, the most items of a list, >= 1; a list has no more than I places.
        excluded: items that are not ranked for each user, U rows; None for no such items.
        barred: items that are not ranked for anyone, ascending; None for no such items.
        device: where to rank.
        memory_mb: memory to use besides the model, the data and what the model's `score` allocates, in MB.

    Raises:
        TrainingError: a score is NaN, or the model's scores have the wrong shape.
    """
    device, memory = torch.device(device), memory_mb << 20
    k = max(1, min(k, n_items))

    def rank(users_B: NDArray[np.int64], tiler: Tiler) -> Lists:
        return rank_block(tiler, users_B, k, NO_PAIRS if excluded is None else pairs_of(excluded, users_B), barred)

    chunk = max(scores.rows, _PLACES // k // scores.rows * scores.rows)
    with in_blocks(rank, scores, n_items, device, memory) as ranked:
        for start in range(0, len(users), chunk):  # a pool ranks a whole chunk ahead of who reads the lists
            yield from ranked(users[start : start + chunk])


def rank_block(
    tiler: Tiler,
    users_B: NDArray[np.int64],
    k: int,
    masked: Pairs = NO_PAIRS,
    barred: NDArray[np.int64] | None = None,
    only: Pairs | None = None,
    names_B: NDArray[np.int64] | None = None,
) -> Lists:
    """Return the k best items of the users of one block.

    Args:
        tiler: computes their scores.
        users_B: whom to rank for, at most `tiler.scores.rows`.
        k: K, the most items of a list, 1 to I.
        masked: items that are not ranked for one user: rows of the block (N,), items (N,).
        barred: items that are not ranked for anyone, ascending; None for no such items.
        only: the items that are ranked for each user: rows of the block (N,), items (N,); None for all.
        names_B: what to call the users in messages; their numbers if None.

    Raises:
        TrainingError: as `top_lists`.
    """
    best = TopK(len(users_B), k, users_B if names_B is None else names_B)
    for tile in tiler.open(users_B, masked, only, barred):
        best.update(tile.scores_BW, tile.first)
    return Lists(users_B, best.items(), best.scores())
