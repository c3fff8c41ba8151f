"""Hold interactions as columns, and as compressed rows (one per user) for training, masking and ranking.

Shapes: U users, I items, N interactions; internal ids are integers from 0, users in rows, items in columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from recrun.data.large import scratch
from recrun.data.large.pieces import are_many, concatenate, is_ascending, occurrences, pieces_of_groups, ranges_of_rows
from recrun.data.orders import chronological_order, stable_order

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from recrun.data.fields import FieldTuple

USER = "user"
ITEM = "item"
RATING = "rating"
WEIGHT = "weight"
TIMESTAMP = "timestamp"


@dataclass(frozen=True, eq=False)
class CSR:
    """Compressed sparse rows of item ids: row u holds `indices[indptr[u]:indptr[u + 1]]`.

    Args:
        indptr: the start of each row and the end of the last, int64 (U + 1,).
        indices: the rows' items one after the other, int32 (nnz,).
        times: when each of them was met, (nnz,), where they are histories and the data tells it.
    """

    indptr: np.ndarray
    indices: np.ndarray
    times: np.ndarray | None = None

    @classmethod
    def from_pairs(
        cls, rows: np.ndarray, columns: np.ndarray, n_rows: int, *, sort: bool = True, unique: bool = True
    ) -> CSR:
        """Build the rows from pairs (row, column), given in any order.

        Args:
            rows: row of each pair, integers in [0, n_rows), shape (N,).
            columns: column of each pair, integers >= 0, shape (N,).
            n_rows: the number of rows, some of which may be empty.
            sort: order each row by column; otherwise pairs stay in the order given.
            unique: drop repeated pairs; only with `sort`.
        """
        if not (sort and are_many(len(rows)) and is_ascending(rows)):
            return cls._at_once(rows, columns, n_rows, sort, unique)

        def parts() -> Iterator[tuple[int, CSR]]:
            for at in pieces_of_groups(rows):
                first, last = int(rows[at.start]), int(rows[at.stop - 1])
                yield first, cls._at_once(rows[at] - first, columns[at], last - first + 1, True, unique)

        return cls.of_pieces(parts(), n_rows, len(rows))

    @classmethod
    def of_pieces(cls, parts: Iterable[tuple[int, CSR]], n_rows: int, most: int) -> CSR:
        """Put rows together from pieces: the number of the first row, and the rows, of each; others are empty.

        One piece is held at a time. There are `n_rows` rows, and `most` pairs or fewer.
        """
        lengths, indices, n = np.zeros(n_rows + 1, dtype=np.int64), scratch.empty(most, np.int32), 0
        for first, part in parts:
            lengths[first + 1 : first + 1 + part.n_rows] = part.lengths
            indices[n : n + part.nnz] = part.indices
            n += part.nnz
        return cls(np.cumsum(lengths), indices[:n])

    @classmethod
    def _at_once(cls, rows: np.ndarray, columns: np.ndarray, n_rows: int, sort: bool, unique: bool) -> CSR:
        if sort and len(rows):
            bits = int(columns.max()).bit_length()
            keys = rows.astype(np.int64)
            keys <<= bits
            keys |= columns
            if bool((keys[1:] < keys[:-1]).any()):
                keys.sort()
            if unique:
                repeated = keys[1:] == keys[:-1]
                if bool(repeated.any()):
                    keys = keys[np.concatenate(([True], ~repeated))]
            rows, columns = keys >> bits, keys & ((1 << bits) - 1)
        else:
            order = stable_order(rows)
            if order is not None:
                rows, columns = rows[order], columns[order]
        indptr = np.zeros(n_rows + 1, dtype=np.int64)
        np.cumsum(occurrences(rows, n_rows), out=indptr[1:])
        return cls(indptr, columns.astype(np.int32, copy=False))

    @classmethod
    def empty(cls, n_rows: int) -> CSR:
        """Return `n_rows` empty rows."""
        return cls(np.zeros(n_rows + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))

    @property
    def n_rows(self) -> int:
        """The number of rows, U."""
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        """The number of stored pairs."""
        return len(self.indices)

    @property
    def lengths(self) -> np.ndarray:
        """How many items each row holds, int64 (U,)."""
        return np.diff(self.indptr)

    def row(self, u: int) -> np.ndarray:
        """Return the items of one row, int32, without copying."""
        return self.indices[self.indptr[u] : self.indptr[u + 1]]

    def rows(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the selected rows, in the order given, as new (indptr (B + 1,), indices).

        Args:
            users: row numbers, integers (B,); may repeat.
        """
        indptr, places = self._places(users)
        return indptr, self.indices[places]

    def _places(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indptr (B + 1,) of selected rows, and the places of what they hold in `indices`."""
        users = np.asarray(users)
        starts = self.indptr[users]
        lengths = self.indptr[users + 1] - starts
        indptr = np.zeros(len(users) + 1, dtype=np.int64)
        np.cumsum(lengths, out=indptr[1:])
        positions = np.arange(indptr[-1], dtype=np.int64)
        positions += np.repeat(starts - indptr[:-1], lengths)
        return indptr, positions

    def take(self, users: np.ndarray) -> CSR:
        """Return the selected rows, in the order given.

        Args:
            users: row numbers, integers (B,); may repeat.
        """
        indptr, places = self._places(users)
        return CSR(indptr, self.indices[places], None if self.times is None else self.times[places])

    def pieces(self) -> Iterator[tuple[int, CSR]]:
        """Return the rows in pieces of bounded size, each with the number of its first row; no row is copied."""
        return ((start, self.between(start, stop)) for start, stop in ranges_of_rows(self.indptr))

    def between(self, start: int, stop: int) -> CSR:
        """Return the rows from one to before another, without copying them."""
        first, last = self.indptr[start], self.indptr[stop]
        times = None if self.times is None else self.times[first:last]
        return CSR(self.indptr[start : stop + 1] - first, self.indices[first:last], times)

    def distinct(self) -> CSR:
        """Return the rows with their items ascending, each once; this CSR itself if they are so already."""
        ascends = np.diff(self.indices) > 0
        starts = self.indptr[1:-1]
        ascends[starts[(starts > 0) & (starts < self.nnz)] - 1] = True
        return self if bool(ascends.all()) else CSR.from_pairs(*self.pairs(), self.n_rows)

    def latest(self, users: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the last items of the selected rows, and the number of these.

        Args:
            users: row numbers, integers (B,).
            width: W, the most items taken from a row.

        Returns:
            int64 (B, W), padded on the right with 0, and int64 (B,).
        """
        return self.before(users, self.indptr[users + 1], width)

    def before(self, users: np.ndarray, stops: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the last items of the selected rows before some places, and the number of these.

        Args:
            users: row numbers, integers (B,).
            stops: where each row is cut: places in `indices`, int64 (B,); the item there is left out.
            width: W, the most items taken from a row.

        Returns:
            int64 (B, W), padded on the right with 0, and int64 (B,).
        """
        lengths = np.minimum(stops - self.indptr[users], width)
        return _padded(self.indices, stops, lengths, width, np.dtype(np.int64)), lengths

    def times_before(self, users: np.ndarray, stops: np.ndarray, width: int) -> np.ndarray:
        """Return the times (B, W) of what `before` returns, padded on the right with 0; `times` are known."""
        assert self.times is not None
        return _padded(self.times, stops, np.minimum(stops - self.indptr[users], width), width, self.times.dtype)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows int32 (nnz,), columns int32 (nnz,)), row by row."""
        return np.repeat(np.arange(self.n_rows, dtype=np.int32), self.lengths), self.indices

    def to_scipy(self, n_columns: int) -> csr_matrix:
        """Return a scipy matrix (U, n_columns) of float32 ones at the stored pairs."""
        from scipy.sparse import csr_matrix

        ones = np.ones(self.nnz, dtype=np.float32)
        return csr_matrix((ones, self.indices, self.indptr), shape=(self.n_rows, n_columns))


def _padded(values: np.ndarray, stops: np.ndarray, lengths: np.ndarray, width: int, dtype: np.dtype) -> np.ndarray:
    """Return the values (B, W) before some places (B,), as many as lengths (B,) tell, padded on the right with 0."""
    positions = np.arange(width)
    is_filled = positions < lengths[:, None]
    padded = np.zeros(is_filled.shape, dtype=dtype)
    padded[is_filled] = values[((stops - lengths)[:, None] + positions)[is_filled]]
    return padded


def join(parts: Sequence[Interactions]) -> Interactions:
    """Concatenate several parts, keeping the columns that all of them have."""
    shared = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    columns = {name: concatenate([part.columns[name] for part in parts]) for name in shared}
    users, items = (concatenate([getattr(part, name) for part in parts]) for name in ("users", "items"))
    return Interactions(users, items, columns)


def union(first: CSR, second: CSR) -> CSR:
    """Return the row-wise union of two CSRs with the same number of rows, sorted and without repetition."""
    if not first.nnz or not second.nnz:
        return second if not first.nnz else first

    def parts() -> Iterator[tuple[int, CSR]]:
        for start, part in first.pieces():
            others = second.between(start, start + part.n_rows)
            rows, columns = zip(part.pairs(), others.pairs(), strict=True)
            yield start, CSR.from_pairs(np.concatenate(rows), np.concatenate(columns), part.n_rows)

    return CSR.of_pieces(parts(), first.n_rows, first.nnz + second.nnz)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions in columns: row i says that user `users[i]` interacted with item `items[i]`.

    Args:
        users: internal ids, int32 (N,).
        items: internal ids, int32 (N,).
        columns: further columns (N,) by field name: "rating" float32, "timestamp" int64 or float64, ...; (N, L) of a
            field with several categories in a row.
    """

    users: np.ndarray
    items: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    def take(self, index: np.ndarray | slice) -> Interactions:
        """Return the rows that `index` (positions, a mask or a slice) selects, in its order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        return Interactions(self.users[index], self.items[index], columns)

    def csr(self, n_users: int) -> CSR:
        """Return each user's items, ascending, each once."""
        return CSR.from_pairs(self.users, self.items, n_users)

    def histories(self, n_users: int) -> CSR:
        """Return each user's items ordered by time; with equal times, or without times, in the order of the rows."""
        rows, columns, times = self.users, self.items, self.columns.get(TIMESTAMP)
        order = chronological_order(rows, times)
        if order is not None:
            rows, columns, times = rows[order], columns[order], None if times is None else times[order]
        return replace(CSR.from_pairs(rows, columns, n_users, sort=False), times=times)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """All that a model may see of a data set: its fields, its sizes and its train interactions.

    Args:
        fields: the data set's fields.
        n_users: U, including users that occur only in other parts.
        n_items: I, likewise.
        interactions: the train part.
        user_ids: the original id of each user (U,), for messages; None where they are not known.
        item_vectors: vectors of the items by name, float32 (I, D) each; empty for models that do not read them.
    """

    fields: FieldTuple
    n_users: int
    n_items: int
    interactions: Interactions
    user_ids: np.ndarray | None = None
    item_vectors: Mapping[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def _csr(self) -> CSR:
        return self.interactions.csr(self.n_users)

    def csr(self) -> CSR:
        """Return each user's train items, ascending, each once."""
        return self._csr

    def matrix(self) -> Any:
        """Return the interaction matrix (U, I): scipy CSR of float32 ones."""
        return self.csr().to_scipy(self.n_items)

    def item_counts(self) -> np.ndarray:
        """Return how many users interacted with each item in train, int64 (I,)."""
        return occurrences(self.csr().indices, self.n_items)
