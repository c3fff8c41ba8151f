"""Put the rows of large columns into parts of known sizes, a chunk of rows at a time.

Shapes: N rows in all, B rows of a chunk, P parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recrun.data.large import scratch
from recrun.data.large.pieces import pieces


class Partition:
    """Columns (N, ...), arrays or tensors, that hold the rows of one part after the other.

    Rows of a part stay in the order in which they come.

    Args:
        sizes: the rows of each part, int64 (P,).

    Attributes:
        columns: by name; complete when all rows have come.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self._ends = np.cumsum(sizes)
        self._filled = self._ends - sizes
        self.columns: dict[str, Any] = {}

    @property
    def parts(self) -> Iterator[slice]:
        """The place of each part in the columns."""
        starts = [0, *self._ends[:-1].tolist()]
        return (slice(start, end) for start, end in zip(starts, self._ends.tolist(), strict=True))

    def add(self, parts: np.ndarray, chunk: Mapping[str, Any]) -> None:
        """Put the next rows where they belong.

        Args:
            parts: of each row, small unsigned integers (B,), which numpy orders in linear time.
            chunk: columns (B, ...) by name.
        """
        order = np.argsort(parts, kind="stable")
        counts = np.bincount(parts, minlength=len(self._ends))
        starts = np.cumsum(counts) - counts
        for name, values in chunk.items():
            column = self._column(name, values)
            # `take` is faster than indexing, and tensors have no such `take`.
            ordered = values.take(order, axis=0) if isinstance(values, np.ndarray) else values[order]
            for part in np.flatnonzero(counts).tolist():
                begin, to, n = starts[part], self._filled[part], counts[part]
                column[to : to + n] = ordered[begin : begin + n]
        self._filled += counts

    def _column(self, name: str, values: Any) -> Any:
        """Return a column, made now, or made wider if values of this type do not fit into it."""
        column, shape = self.columns.get(name), (int(self._ends[-1]), *values.shape[1:])
        if not isinstance(values, np.ndarray):
            column = values.new_empty(shape) if column is None else column
        elif column is None:
            column = scratch.empty(shape, values.dtype)
        elif column.dtype != values.dtype:
            column = _widened(column, np.result_type(column.dtype, values.dtype))
        self.columns[name] = column
        return column


def _widened(column: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if column.dtype == dtype:
        return column
    wide = scratch.empty(column.shape, dtype)
    for at in pieces(len(column)):
        wide[at] = column[at]
    return wide
