"""Define batches, and the size of the chunks of rows that pipes pass on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Batch = dict[str, Any]

CHUNK_ROWS = 1 << 20
"""The most rows in a chunk; it bounds the memory of a stream."""
CHUNK_CELLS = 1 << 22
"""The most cells of an item column in a chunk: wide rows come in shorter chunks."""


def chunks(n_rows: int, size: int = CHUNK_ROWS) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of successive chunks of at most `size` rows.

    >>> list(chunks(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def chunk_rows(width: int) -> int:
    """Return how many rows of `width` cells make a chunk."""
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(1, width)))


def count_rows(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(batch.values())))
