"""Implement `shuffle_`: put the rows of an epoch into random order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recrun.data.postprocessing.base import PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunks, count_rows
from recrun.data.postprocessing.mode import Mode
from recrun.data.postprocessing.split import concatenate
from recrun.randomness import generator


class Shuffle(PostProcessor):
    """Permutes all rows of a train epoch, holding them in memory; valid and test stay in order.

    Random access misses the processor's caches, so integers are held in 32 bits where they fit.
    """

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        stream = self.source.iterate(mode, seed=seed, epoch=epoch)
        if mode != "train":
            yield from stream
            return
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
        generator(seed, epoch, "shuffle").shuffle(order)
        for start, stop in chunks(n_rows):
            chosen = order[start:stop]
            yield {name: _take(column, chosen, dtypes[name]) for name, column in rows.items()}

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        if sizes is None or mode != "train":
            return sizes
        return [stop - start for start, stop in chunks(sum(sizes))]


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
