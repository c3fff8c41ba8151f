"""Implement `split_` and `batch_`: cut the stream into batches of equal size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunks, count_rows
from recrun.data.postprocessing.mode import Mode
from recrun.errors import DataError


class Split(PostProcessor):
    """Cuts chunks into batches, joining the end of one chunk to the start of the next.

    Args:
        source: the pipe before it; arrays or tensors.
        batch_size: rows per batch.
        drop_last: leave out the last batch if it is not full.

    Raises:
        DataError: the batch size is not positive.
    """

    def __init__(self, source: Pipe, batch_size: int, *, drop_last: bool = False) -> None:
        super().__init__(source)
        if batch_size < 1:
            raise DataError(f"expected a batch size of at least 1, found {batch_size}")
        self.batch_size = batch_size
        self.drop_last = drop_last

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        return cut(self.source.iterate(mode, seed=seed, epoch=epoch), self.batch_size, drop_last=self.drop_last)

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        if sizes is None:
            return None
        batches = [stop - start for start, stop in chunks(sum(sizes), self.batch_size)]
        return [size for size in batches if size == self.batch_size or not self.drop_last]


def cut(stream: Iterator[Batch], size: int, *, drop_last: bool = False) -> Iterator[Batch]:
    """Yield the rows of a stream in batches of `size` rows; the last one may be smaller, or is left out."""
    waiting: list[Batch] = []
    n_waiting = 0
    for chunk in stream:
        n_rows = count_rows(chunk)
        start = min(size - n_waiting, n_rows) if waiting else 0
        if start:
            waiting.append(_rows(chunk, 0, start))
            n_waiting += start
            if n_waiting == size:
                yield concatenate(waiting)
                waiting, n_waiting = [], 0
        full = start + (n_rows - start) // size * size
        for begin in range(start, full, size):
            yield _rows(chunk, begin, begin + size)
        if full < n_rows:
            waiting, n_waiting = [_rows(chunk, full, n_rows)], n_rows - full
    if waiting and not drop_last:
        yield concatenate(waiting)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Return batches of the same columns as one; a single batch is returned as it is."""
    if len(batches) == 1:
        return batches[0]
    return {name: _join([batch[name] for batch in batches]) for name in batches[0]}


def _join(columns: Sequence[Any]) -> Any:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    import torch

    return torch.cat(list(columns))


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    return {name: column[start:stop] for name, column in batch.items()}
