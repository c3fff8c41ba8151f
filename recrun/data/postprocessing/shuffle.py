"""Implement `shuffle_`: put the rows of an epoch into random order.

Up to `WHOLE` rows one permutation is drawn and rows are gathered by it. Beyond, nearly every row gathered would wait
for main memory. So each row is put into a bucket drawn uniformly, and the rows of each bucket are permuted in the
processor's cache. Any order of all rows is equally likely then too: a permutation is the order of independent uniform
numbers, of which the buckets are the leading digits.

*Source:* Rao, "Generation of random permutations of given number of elements using random sampling numbers", Sankhya A
23, 1961; Sandelius, "A simple randomization procedure", JRSS B 24, 1962.

Shapes: N rows of the epoch, B rows of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from recrun.data.large.partition import Partition
from recrun.data.postprocessing.base import PostProcessor
from recrun.data.postprocessing.chunks import CHUNK_ROWS, Batch, chunks, count_rows
from recrun.data.postprocessing.mode import Mode
from recrun.data.postprocessing.split import concatenate, cut
from recrun.randomness import generator

WHOLE: Final = 1 << 20
"""The most rows that are permuted at once."""
_BUCKET: Final = 1 << 18
"""About how many rows a bucket has."""


class Shuffle(PostProcessor):
    """Permutes all rows of a train epoch; valid and test stay in order.

    Rows are held until they are passed on, integers in 32 bits where they fit, and large columns on disk.
    """

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        stream = self.source.iterate(mode, seed=seed, epoch=epoch)
        if mode != "train":
            yield from stream
            return
        sizes = self.source.sizes(mode)
        if sizes is None or sum(sizes) <= WHOLE:
            yield from _at_once(stream, generator(seed, epoch, "shuffle"))
            return
        yield from cut(by_buckets(stream, sizes, seed, epoch), CHUNK_ROWS)

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        if sizes is None or mode != "train":
            return sizes
        return [stop - start for start, stop in chunks(sum(sizes))]


def _at_once(stream: Iterator[Batch], rng: np.random.Generator) -> Iterator[Batch]:
    """Yield the rows of a stream in the order of one permutation."""
    pieces: list[Batch] = []
    dtypes: dict[str, Any] = {}
    for piece in stream:
        dtypes = {name: column.dtype for name, column in piece.items()}
        pieces.append({name: _narrow(column) for name, column in piece.items()})
    if not pieces:
        return
    rows = concatenate(pieces)
    del pieces
    n_rows = count_rows(rows)
    order = np.arange(n_rows, dtype=np.int32 if n_rows < 2**31 else np.int64)
    rng.shuffle(order)
    for start, stop in chunks(n_rows):
        chosen = order[start:stop]
        yield {name: _take(column, chosen, dtypes[name]) for name, column in rows.items()}


def by_buckets(stream: Iterator[Batch], sizes: list[int], seed: int, epoch: int) -> Iterator[Batch]:
    """Yield the rows of a stream in random order, a bucket at a time.

    Args:
        stream: chunks of rows.
        sizes: how many rows each of them has.
        seed: the run's seed.
        epoch: the epoch.
    """
    n_buckets = -(-sum(sizes) // _BUCKET)
    kind = np.uint16 if n_buckets <= 1 << 16 else np.uint32

    def buckets_of_chunks() -> Iterator[np.ndarray]:
        rng = generator(seed, epoch, "shuffle buckets")
        return (rng.integers(0, n_buckets, size, dtype=kind) for size in sizes)

    counts = np.zeros(n_buckets, dtype=np.int64)
    for buckets in buckets_of_chunks():
        counts += np.bincount(buckets, minlength=n_buckets)
    rows, dtypes = Partition(counts), {}
    for buckets, chunk in zip(buckets_of_chunks(), stream, strict=True):
        dtypes = {name: column.dtype for name, column in chunk.items()}
        rows.add(buckets, {name: _narrow(column) for name, column in chunk.items()})
    rng = generator(seed, epoch, "shuffle")
    for part in rows.parts:
        order = np.arange(part.start, part.stop)
        rng.shuffle(order)
        yield {name: _take(column, order, dtypes[name]) for name, column in rows.columns.items()}


def _narrow(column: Any) -> Any:
    """Return a 64-bit integer column in 32 bits if its values fit."""
    if not isinstance(column, np.ndarray) or column.dtype != np.int64 or not column.size:
        return column
    return column.astype(np.int32) if column.min() >= -(2**31) and column.max() < 2**31 else column


def _take(column: Any, chosen: np.ndarray, dtype: Any) -> Any:
    """Return the chosen rows of an array, in its original dtype, or of a tensor."""
    if not isinstance(column, np.ndarray):
        return column[chosen.astype(np.int64)]
    return column.take(chosen, axis=0).astype(dtype, copy=False)
