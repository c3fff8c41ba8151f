"""Work on the scores of users block by block, several blocks at a time where the scores allow it.

Shapes: B users of a block, U users, N pairs of a user and an item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from recrun.data.interactions import CSR
from recrun.evaluation.score_tiles import Scores, Tiler, smallest_tile
from recrun.threads import thread_map

T = TypeVar("T")
Array = NDArray[Any]


@contextmanager
def in_blocks(
    work: Callable[[Array, Tiler], T], scores: Scores, n_items: int, device: torch.device, memory: int
) -> Iterator[Callable[[Array], Iterable[T]]]:
    """Yield a function from users (U,) to the results of their blocks, in order.

    Each worker is one thread that computes whole products: the result does not depend on the number of threads, and no
    thread waits for the slowest one at the end of every product.

    Args:
        work: called as `work(users (B,), tiler)` for each block, with a tiler that no other block uses meanwhile.
        scores: the scores.
        n_items: I.
        device: where the tiles are.
        memory: bytes to use for tiles, over all workers.
    """
    n_threads = torch.get_num_threads() if device.type == "cpu" and scores.is_thread_safe else 1
    n_workers = max(1, min(n_threads, memory // smallest_tile(scores)))
    tilers: SimpleQueue[Tiler] = SimpleQueue()
    for _ in range(n_workers):
        tilers.put(Tiler(scores, n_items, device, memory // n_workers))

    def work_on(users_B: Array) -> T:
        tiler = tilers.get()
        try:
            return work(users_B, tiler)
        finally:
            tilers.put(tiler)

    def blocks_of(users: Array) -> list[Array]:
        return [users[start : start + scores.rows] for start in range(0, len(users), scores.rows)]

    with thread_map(n_threads, n_workers) as map_:
        yield lambda users: map_(work_on, blocks_of(users))


def pairs_of(rows: CSR, users_B: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the stored pairs of some users as (row of the block, item), (N,) each."""
    indptr, items_N = rows.rows(users_B)
    return np.repeat(np.arange(len(users_B)), np.diff(indptr)), items_N.astype(np.int64)
