"""Implement `shard_`: keep this process's share of the rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, count_rows
from recrun.data.postprocessing.mode import Mode
from recrun.errors import DataError


class Shard(PostProcessor):
    """Keeps row i of the stream in rank i modulo the world size; row-wise steps are inserted before it.

    Args:
        source: the pipe before it.
    """

    def __init__(self, source: Pipe) -> None:
        super().__init__(source)
        if source.is_sharded:
            raise DataError("the chain is already sharded; call shard_ only once")

    @property
    def is_sharded(self) -> bool:
        return True

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        rank, n_ranks = world()
        passed = 0
        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            n_rows, start = count_rows(batch), (rank - passed) % n_ranks
            passed += n_rows
            if n_ranks == 1:
                yield batch
            elif start < n_rows:
                yield {name: column[start::n_ranks] for name, column in batch.items()}

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        if sizes is None:
            return None
        rank, n_ranks = world()
        shares, passed = [], 0
        for size in sizes:
            shares.append(len(range((rank - passed) % n_ranks, size, n_ranks)))
            passed += size
        return [share for share in shares if share]

    def _row_wise(self, build: Callable[[Pipe], Pipe]) -> Pipe:
        return Shard(build(self.source))


def world() -> tuple[int, int]:
    """Return (rank, number of ranks) from RANK and WORLD_SIZE; (0, 1) if neither is set.

    Raises:
        DataError: only one is set, or they are not integers with 0 <= RANK < WORLD_SIZE.
    """
    rank, size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
    if rank is None and size is None:
        return 0, 1
    try:
        numbers = int(rank or ""), int(size or "")
    except ValueError:
        numbers = 0, 0
    if not 0 <= numbers[0] < numbers[1]:
        raise DataError(f"RANK and WORLD_SIZE must be integers with 0 <= RANK < WORLD_SIZE; found {rank} and {size}")
    return numbers
