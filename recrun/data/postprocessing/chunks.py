"""Batches, and how many rows travel in one between pipes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Batch = dict[str, Any]

CHUNK_ROWS = 1 << 20
"""The most rows that travel together; what bounds the memory of a stream."""
CHUNK_CELLS = 1 << 22
"""The most cells of an item column that travel together: wide rows come in shorter chunks."""


def chunks(n_rows: int, size: int = CHUNK_ROWS) -> Iterator[tuple[int, int]]:
    """Yield the borders of successive chunks of at most `size` rows.

    >>> list(chunks(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    return ((start, min(start + size, n_rows)) for start in range(0, n_rows, size))


def chunk_rows(width: int) -> int:
    """Return how many rows of `width` cells travel together."""
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(1, width)))


def count_rows(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(batch.values())))
