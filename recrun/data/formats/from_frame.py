"""Turn a polars frame with the columns "user", "item", "rating" and "timestamp" into a checked table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.columns.names import REQUIRED_ROLES
from recrun.data.formats.table import Table, data_error, rows_error
from recrun.data.formats.values.ids import ids_of
from recrun.data.formats.values.numbers import bare_texts, numbers_of, remedy_for_missing
from recrun.data.formats.values.time_column import read_times, refuse_format
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

BLANK: Final = "blank-lines"
"""The kind of lines that hold nothing."""
Explain = Callable[[], DataError | None]
"""Looks for the row that is at fault, slowly; None when every row is well formed."""


def frame_to_table(
    frame: pl.DataFrame,
    path: Path,
    first_line: int,
    explain: Explain,
    notes: tuple[str, ...] = (),
    *,
    time_format: str | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    find_lines: Callable[[], np.ndarray] | None = None,
    kept: np.ndarray | None = None,
) -> Table:
    """Return the table of a frame; rows in which every column is null (blank lines) are left out.

    Args:
        frame: columns "user" and "item" (text or integers), "rating" and "timestamp" (numbers, text or times) if any.
        path: the file, for messages.
        first_line: the line (or row number) of the frame's first row.
        explain: called when a value is missing or is not what it should be; looks for rows with too few columns.
        notes: what is known about the file already.
        time_format: the strftime format of dates; None finds out.
        columns: the name in the file of the column of each role, for messages.
        find_lines: returns the line in which each row of the file begins, where a row may take several lines.
        kept: which rows of the file are in the frame, ascending; None for all.

    Raises:
        DataError: no rows; a missing value; a negative id; a rating or time that is not a finite number; times that
            would be sorted wrongly.
    """
    import polars as pl

    try:
        return _to_table(frame, path, FrameLines(first_line, find_lines, kept), explain, notes, time_format, columns)
    except pl.exceptions.PolarsError as error:
        types = ", ".join(f"{name}: {kind}" for name, kind in frame.schema.items())
        reason = str(error).splitlines()[0]
        raise explain() or data_error(path, None, f"holds values that cannot be used ({types}; {reason})") from error


def note_on_blank(path: Path) -> str:
    """Return the note on lines of a file that hold nothing."""
    return f"{path.name}: blank lines are skipped"


def wrong_types(frame: pl.DataFrame) -> str:
    """Return which columns hold something that their role cannot be made of, and what; "" when none does."""
    import polars as pl

    found = []
    for role, kind in frame.schema.items():
        is_number = kind.is_numeric() and not (isinstance(kind, pl.Decimal) and kind.scale and role in REQUIRED_ROLES)
        is_text = kind == pl.String or isinstance(kind, (pl.Categorical, pl.Enum))
        is_other = kind in {RATING: (pl.Boolean,), TIMESTAMP: (pl.Date, pl.Datetime)}.get(role, ())
        if not (is_number or is_text or is_other):
            found.append(f"the {role} cannot be made of {kind}")
    return "; ".join(found)


class FrameLines:
    """The line of each row of a frame, found out only when it is asked for.

    Args:
        first_line: of the file's first row.
        find: returns the line in which each row of the file begins; None where each row takes one line.
        kept: which rows of the file are in the frame, ascending; None for all.
    """

    def __init__(
        self, first_line: int, find: Callable[[], np.ndarray] | None = None, kept: np.ndarray | None = None
    ) -> None:
        self._first_line = first_line
        self._find = find
        self.kept = kept

    @cached_property
    def _starts(self) -> np.ndarray | None:
        return None if self._find is None else self._find()

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the lines of some rows."""
        rows = self.file_rows(rows)
        starts = self._starts
        if starts is None or int(rows.max(initial=0)) >= len(starts):
            return self._first_line + rows
        found: np.ndarray = starts[rows]
        return found

    def file_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the positions of some rows among those of the file."""
        return rows if self.kept is None else self.kept[rows]

    def line(self, row: int) -> int:
        """Return the line of a row."""
        return int(self.of(np.array([row]))[0])


def _to_table(
    frame: pl.DataFrame,
    path: Path,
    lines: FrameLines,
    explain: Explain,
    notes: tuple[str, ...],
    time_format: str | None,
    names: Mapping[str, str],
) -> Table:
    import polars as pl

    n_rows = frame.height
    # A cast of categories to numbers returns the numbers of the categories in some versions of polars.
    categories = [name for name, kind in frame.schema.items() if isinstance(kind, (pl.Categorical, pl.Enum))]
    frame = frame.cast(dict.fromkeys(categories, pl.String))
    texts = [role for role in (RATING, TIMESTAMP) if frame.schema.get(role) == pl.String]
    frame = frame.with_columns(bare_texts(frame[role]) for role in texts)
    frame, rows = _without_blank_rows(frame)
    skipped = {}
    if rows is not None:
        notes = (*notes, note_on_blank(path))
        skipped[BLANK] = lines.of(np.setdiff1d(np.arange(n_rows), rows, assume_unique=True))
    if not frame.height:
        raise data_error(path, None, "holds no interactions", kind="empty")

    def line_of(row: int) -> int:
        return lines.line(row if rows is None else int(rows[row]))

    _refuse_missing(frame, path, line_of, explain, names)
    strange = wrong_types(frame)
    if strange:
        raise data_error(path, None, strange, "column")
    users, items = (ids_of(frame[role], path, line_of, names.get(role, "")) for role in REQUIRED_ROLES)
    columns = {}
    if RATING in frame.columns:
        columns[RATING] = numbers_of(frame[RATING], path, line_of, names.get(RATING, ""))
    table = Table(
        *(path, users, items, columns, line_of),
        notes=notes,
        skipped=skipped,
        is_selected=lines.kept is not None,
        file_rows=lambda index: lines.file_rows(index if rows is None else rows[index]),
    )
    if TIMESTAMP not in frame.columns:
        refuse_format(time_format, path)
        return table
    times = read_times(frame[TIMESTAMP], path, line_of, time_format=time_format, column=names.get(TIMESTAMP, ""))
    columns[TIMESTAMP] = times.values
    return replace(table, time_is_date=times.are_dates, time_has_zone=times.have_zone, notes=(*notes, *times.notes))


def _refuse_missing(
    frame: pl.DataFrame, path: Path, line_of: Callable[[int], int], explain: Explain, names: Mapping[str, str]
) -> None:
    import polars as pl

    if not any(frame[name].null_count() for name in frame.columns):
        return

    def message_of(row: int) -> str:
        role = next(name for name in frame.columns if frame[name][row] is None)
        place = f" (column {names[role]!r})" if role in names else ""
        return f"the {role} is missing{place}{remedy_for_missing(role, names.get(role, ''))}"

    rows = np.flatnonzero(frame.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy())
    raise explain() or rows_error(path, "missing-value", rows, line_of, message_of)


def _without_blank_rows(frame: pl.DataFrame) -> tuple[pl.DataFrame, np.ndarray | None]:
    """Return the frame without rows that hold nothing, and the positions of the others when some were dropped."""
    import polars as pl

    if not frame[USER].null_count() or not frame[ITEM].null_count():
        return frame, None
    filled = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
    if filled.all():
        return frame, None
    return frame.filter(filled), np.flatnonzero(filled.to_numpy())
