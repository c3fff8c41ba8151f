"""Define what every format reader takes and returns: a layout and a table of interactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recrun.errors import DataError, RowFault

if TYPE_CHECKING:
    import polars as pl

MAX_ID_LENGTH = 512


@dataclass(frozen=True, eq=False)
class Ids:
    """A column of original ids: `names[codes[i]]` is the id in row i.

    Args:
        codes: int32 (N,).
        names: the distinct ids in ascending order, int64 or text (n,).
    """

    codes: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Ids:
        """Code a column of integers >= 0 or of text, shape (N,)."""
        if values.dtype.kind in "iu":
            return cls.of_integers(values.astype(np.int64, copy=False))
        names, codes = np.unique(values.astype(np.str_), return_inverse=True)
        return cls(codes.astype(np.int32), names)

    @classmethod
    def of_integers(cls, values: np.ndarray) -> Ids:
        """Code a column of integers >= 0, shape (N,)."""
        if not len(values):
            return cls(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
        top = int(values.max())
        if top > 4 * len(values) + (1 << 20):
            names, codes = np.unique(values, return_inverse=True)
            return cls(codes.astype(np.int32), names.astype(np.int64))
        # Ids that are dense enough are coded through a table, in linear time.
        seen = np.zeros(top + 1, dtype=bool)
        seen[values] = True
        table = np.cumsum(seen, dtype=np.int32)
        table -= 1
        return cls(table[values], np.flatnonzero(seen).astype(np.int64))

    @property
    def are_integers(self) -> bool:
        """Whether the ids are numbers rather than text."""
        return self.names.dtype.kind == "i"


@dataclass(frozen=True, eq=False)
class Origin:
    """Where all columns of a table's file can be read again, for export.

    Args:
        roles: the name of the column of each role ("user", "item", "rating", "timestamp").
        read: returns all columns of some rows, named and in the order of the file, by their positions among the file's
            rows (n,).
        is_text: whether they are read as text, with null where there is nothing, rather than in types of their own.
    """

    roles: Mapping[str, str]
    read: Callable[[np.ndarray], pl.DataFrame]
    is_text: bool = True


@dataclass(frozen=True, eq=False)
class Table:
    """The interactions of one file, in its order.

    Args:
        path: the file, for messages.
        users: original user ids (N,).
        items: original item ids (N,).
        columns: other columns (N,): "rating" and "weight" float32, "timestamp" int64 or float64.
        line_of: the 1-based line (of a parquet file: row) that row i of the table came from.
        time_is_order: "timestamp" only counts a user's interactions, so that times of two users do not compare.
        time_is_date: "timestamp" was written as dates, and counts the seconds since 1970.
        time_has_zone: each of these dates said how far its clock is ahead of UTC.
        notes: what a user should know about how the file was read.
        skipped: the lines that hold no interaction, ascending: "blank-lines", and "no-items" of a user alone.
        names: of all columns of the file, in order, where its first line or schema tells them.
        pieces: the tables of the files that were joined to this one, in order; none for one file.
        is_selected: whether the rows that the layout's `filter` and `drop_missing` name were left out.
        origin: reads all columns of the file again; None for a format without columns, and for joined files.
        file_rows: returns the positions among the file's rows of some rows of the table.
    """

    path: Path
    users: Ids
    items: Ids
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    line_of: Callable[[int], int] = lambda row: row + 1
    time_is_order: bool = False
    time_is_date: bool = False
    time_has_zone: bool = False
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    pieces: tuple[Table, ...] = ()
    is_selected: bool = False
    origin: Origin | None = None
    file_rows: Callable[[np.ndarray], np.ndarray] = lambda rows: rows

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, columns: dict[str, np.ndarray] | None = None, path: str = "data"
    ) -> Table:
        """Make a table of columns of original ids, integers >= 0 or text, each of shape (N,).

        Raises:
            DataError: the ids are something else, or of different numbers.
        """
        for role, ids in (("users", users), ("items", items)):
            _check_ids(role, ids)
        if len(users) != len(items):
            raise DataError(f"Table.of: users and items must have one length; found {len(users)} and {len(items)}")
        return cls(Path(path), Ids.of(users), Ids.of(items), dict(columns or {}))

    def __len__(self) -> int:
        return len(self.users.codes)

    def where(self, row: int) -> tuple[Path, int]:
        """Return the file and the line that a row came from."""
        for piece in self.pieces:
            if row < len(piece):
                return piece.where(row)
            row -= len(piece)
        return self.path, self.line_of(row)


def _check_ids(role: str, ids: object) -> None:
    """Refuse what is no column of original ids."""
    if not isinstance(ids, np.ndarray) or ids.ndim != 1:
        found = f"an array of shape {ids.shape}" if isinstance(ids, np.ndarray) else type(ids).__name__
        raise DataError(f"Table.of: {role} must be a numpy array of shape (N,); found {found}")
    if ids.dtype.kind not in "iuUO" or (ids.dtype.kind == "O" and not all(isinstance(each, str) for each in ids)):
        raise DataError(f"Table.of: {role} must be integers or text; found {ids.dtype}")
    if ids.dtype.kind in "iu" and len(ids) and ids.min() < 0:
        raise DataError(f"Table.of: {role} must be at least 0; found {ids.min()}")
    if ids.dtype.kind in "iu" and len(ids) and ids.max() > np.iinfo(np.int64).max:
        raise DataError(f"Table.of: {role} must fit into 64 bits with a sign; found {ids.max()}")


@dataclass(frozen=True)
class Layout:
    """What a user says about a file; None is left to the file.

    Args:
        separator: what stands between two columns.
        header: whether the first line holds the columns' names.
        encoding: of the text.
        user_column: name of the column of user ids (of a file without header: its number, from 1).
        item_column: of item ids.
        rating_column: of ratings.
        time_column: of timestamps.
        time_format: the strftime format of dates.
        escape: the character before a quote that is part of a quoted value; None where such a quote is doubled.
        filter: the condition that rows fulfil which are kept.
        drop_missing: columns; rows in which one is missing are left out.
    """

    separator: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    escape: str | None = None
    filter: str | None = None
    drop_missing: Sequence[str | int] = ()

    @property
    def given(self) -> Collection[str]:
        """The names of what the user said."""
        return [each.name for each in fields(self) if getattr(self, each.name) not in (each.default, None, [])]

    @property
    def selects(self) -> bool:
        """Whether rows are left out by their values."""
        return self.filter is not None or bool(self.drop_missing)


def shown(text: str, length: int = 80) -> str:
    """Return text as a message shows it: quoted, on one line, not longer than that."""
    return repr(text if len(text) <= length else text[:length] + "...")


def data_error(path: Path, line: int | None, message: str, kind: str = "") -> DataError:
    """Return the error for a fault at a line of a file."""
    return DataError(message, path=path, line=line, kind=kind)


def rows_error(
    path: Path, kind: str, rows: np.ndarray, line_of: Callable[[int], int], message_of: Callable[[int], str]
) -> DataError:
    """Return the error for the first of some rows at fault, which names the others when asked.

    Args:
        path: the file.
        kind: the sort of fault.
        rows: positions of the rows, ascending; at least one.
        line_of: the line of each.
        message_of: what is wrong with each.
    """

    def find() -> Iterator[RowFault]:
        return (RowFault(kind, line_of(row), message_of(row)) for row in rows.tolist())

    first = int(rows[0])
    return DataError(message_of(first), path=path, line=line_of(first), kind=kind, rows=find)
