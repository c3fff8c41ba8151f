"""Leave out rows of a file: those that fail the condition of `filter`, and those with a missing value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.formats.columns.names import bare_name, listed
from recrun.data.formats.table import Layout, Table, data_error, rows_error, shown
from recrun.data.formats.values.numbers import MISSING_WORDS, is_number
from recrun.errors import DataError, nearest
from recrun.registry import FORMATS
from recrun.row_filter import AllOf, Comparison, Condition, FilterError, Not, Value, columns_of, parse_filter

if TYPE_CHECKING:
    import polars as pl

_INT64: Final = 2**63
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class Selection:
    """Which rows of a file are kept.

    Args:
        path: the file.
        layout: the condition, and the columns whose value must not be missing.
        names: of the file's columns; their numbers where it has no header row.

    Raises:
        DataError: the condition cannot be understood, or there is no such column.
    """

    def __init__(self, path: Path, layout: Layout, names: Sequence[str]) -> None:
        self._path = path
        self._layout = layout
        self._required = [str(name) for name in layout.drop_missing]
        self._condition: Condition | None = None
        if layout.filter is not None:
            try:
                self._condition = parse_filter(layout.filter)
            except FilterError as error:
                raise DataError(f"filter {layout.filter!r}: {error}") from None
        asked = [] if self._condition is None else columns_of(self._condition)
        self.positions = {name: self._position(name, "filter", names) for name in asked}
        self.positions |= {name: self._position(name, "drop_missing", names) for name in self._required}

    def _position(self, name: str, setting: str, names: Sequence[str]) -> int:
        matches = [place for place, column in enumerate(names) if name in (column, bare_name(column))]
        if len(matches) == 1:
            return matches[0]
        found = f"Found: {listed(names)}"
        if matches:
            raise data_error(
                self._path, 1, f"there are {len(matches)} columns {name!r}, which {setting} names. {found}"
            )
        near = nearest(name, [bare_name(column) for column in names])
        hint = f"; did you mean {near!r}?" if near else "."
        raise data_error(self._path, 1, f"there is no column {name!r}, which {setting} names{hint} {found}")

    def mask(self, frame: pl.DataFrame, line_of: Callable[[int], int]) -> tuple[np.ndarray, list[str]]:
        """Return which rows are kept, bool (N,), and notes on how many those are.

        Args:
            frame: the columns of `positions`, called by their numbers ("0", "1", ...); rows that hold nothing at all
                are kept, as blank lines are no rows.
            line_of: the line of each row.

        Raises:
            DataError: a value cannot be compared, or no row is left.
        """
        import polars as pl

        columns = {name: self._plain(name, frame[str(place)]) for name, place in self.positions.items()}
        blank = frame.select(pl.all_horizontal(pl.all().is_null())).to_series().to_numpy()
        kept, notes, n_rows = np.ones(frame.height, dtype=bool), [], int((~blank).sum())
        if self._condition is not None:
            kept = self._holds(self._condition, columns, line_of)
            n_kept = int((kept & ~blank).sum())
            if not n_kept:
                raise data_error(
                    self._path, None, f"no row fulfils filter {self._layout.filter!r}{self._values(columns)}"
                )
            notes.append(f"{self._path.name}: {n_kept:,} of {n_rows:,} rows fulfil filter {self._layout.filter!r}")
        for name in self._required:
            missing = is_missing(columns[name]).to_numpy()
            n_missing = int((kept & missing & ~blank).sum())
            kept &= ~missing
            if n_missing:
                notes.append(f"{self._path.name}: {n_missing:,} rows are left out, as column {name} is missing in them")
        if not (kept & ~blank).any():
            raise data_error(self._path, None, "drop_missing leaves no row")
        return kept | blank, notes

    def _plain(self, name: str, values: pl.Series) -> pl.Series:
        """Return a column of text, numbers, true and false, or dates, as it is or as text.

        Raises:
            DataError: it holds something else.
        """
        import polars as pl

        kind = values.dtype
        if isinstance(kind, (pl.Categorical, pl.Enum)):
            texts: pl.Series = values.cast(pl.String)
            return texts
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            raise data_error(self._path, None, f"rows cannot be selected by column {name}, which holds {kind}")
        return values

    def _values(self, columns: dict[str, pl.Series]) -> str:
        """Return some values of the columns of the condition, for a message."""
        assert self._condition is not None
        told = []
        for name in columns_of(self._condition):
            found = columns[name].drop_nulls().head(10_000).unique(maintain_order=True).head(5).to_list()
            told.append(f"; column {name} holds {', '.join(shown(str(value), 40) for value in found) or 'nothing'}")
        return "".join(told)

    def _holds(self, condition: Condition, columns: dict[str, pl.Series], line_of: Callable[[int], int]) -> np.ndarray:
        if isinstance(condition, Not):
            return ~self._holds(condition.condition, columns, line_of)
        if not isinstance(condition, Comparison):
            parts = [self._holds(part, columns, line_of) for part in condition.conditions]
            combine = np.logical_and if isinstance(condition, AllOf) else np.logical_or
            return np.asarray(combine.reduce(parts))
        values, operator = columns[condition.column], condition.operator
        if operator == "!=":
            return ~self._compare(values, "==", condition.values[0], condition.column, line_of)
        if operator == "in":
            found = [self._compare(values, "==", value, condition.column, line_of) for value in condition.values]
            return np.asarray(np.logical_or.reduce(found))
        return self._compare(values, operator, condition.values[0], condition.column, line_of)

    def _compare(
        self, values: pl.Series, operator: str, value: Value, name: str, line_of: Callable[[int], int]
    ) -> np.ndarray:
        """Return whether each value compares so, bool (N,); a missing one never does."""
        import polars as pl

        def refuse(bad: pl.Series, expected: str) -> None:
            rows = bad.arg_true().to_numpy()
            if len(rows):
                told = f"filter compares column {name} with {value!r}: expected {expected}, found "
                raise rows_error(self._path, "filter", rows, line_of, lambda row: told + shown(str(values[row])))

        missing = is_missing(values)
        if value is None:
            return np.asarray(missing)
        if isinstance(value, bool):
            words = values.cast(pl.String).str.strip_chars().str.to_lowercase()
            refuse(~missing & ~words.is_in(list(_BOOLEANS)), "true or false")
            wanted = [word for word, each in _BOOLEANS.items() if each == value]
            return np.asarray(words.is_in(wanted).fill_null(False))
        if isinstance(value, int) and abs(value) >= _INT64:
            message = f"filter compares column {name} with {value}, which has more than 64 bits; write it in quotes"
            raise data_error(self._path, None, message)
        found: Any = values
        if values.dtype == pl.UInt64:  # holds more than fits into 64 bits with a sign
            found = values.cast(pl.Float64) if isinstance(value, int) and value < 0 else values
        elif values.dtype.is_integer():
            found = values.cast(pl.Int64)
        if isinstance(value, str):
            found = self._texts(values, operator, value, name)
        elif values.dtype.is_temporal():
            raise data_error(self._path, None, f"column {name} holds dates; filter compares them with text in quotes")
        elif values.dtype == pl.String:
            bare = values.str.strip_chars()
            found = bare.cast(pl.Int64, strict=False)
            if (found.is_null() & ~missing).any():
                found = bare.cast(pl.Float64, strict=False)
            refuse(found.is_null() & ~missing, "a number")
        elif values.dtype == pl.Boolean:
            found = values.cast(pl.Int64)
        if operator in ("contains", "startswith", "endswith"):
            kinds = {"startswith": found.str.starts_with, "endswith": found.str.ends_with}
            result = found.str.contains(value, literal=True) if operator == "contains" else kinds[operator](value)
        else:
            compare = {"==": "eq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[operator]
            result = getattr(found, compare)(value)
        if not isinstance(value, str):
            result = result & ~missing
        return np.asarray(result.fill_null(False))

    def _texts(self, values: pl.Series, operator: str, value: str, name: str) -> pl.Series:
        """Return the values as text, where they can be compared with text."""
        import polars as pl

        if operator in ("<", "<=", ">", ">=") and is_number(value):
            message = f"filter compares column {name} with text; write the number {value} without quotes"
            raise data_error(self._path, None, message)
        if values.dtype.is_float() or (values.dtype.is_numeric() and operator in ("<", "<=", ">", ">=")):
            raise data_error(self._path, None, f"column {name} holds numbers; filter compares them without quotes")
        texts: pl.Series = values.cast(pl.String)
        return texts


def is_missing(values: pl.Series) -> pl.Series:
    """Return whether each value is missing: nothing, blanks, NaN, or a word that stands for one, bool (N,)."""
    import polars as pl

    missing: pl.Series = values.is_null()
    if values.dtype.is_float():
        missing |= values.is_nan().fill_null(False)
    if values.dtype == pl.String:
        words = values.str.strip_chars().str.to_lowercase()
        missing |= words.is_in(["", *MISSING_WORDS]).fill_null(False)
    return missing


def refuse_useless(path: Path, layout: Layout, format: str, files: str) -> None:
    """Refuse a setting that means nothing to a format.

    Args:
        path: the file.
        layout: what the user says about it.
        format: the name of its format.
        files: what such files are called in the message.

    Raises:
        DataError: there is one.
    """
    useless = [key for key in FORMATS.describe(format).traits.without if key in layout.given]
    if useless:
        raise data_error(path, None, f"{useless[0]} means nothing to {files}; leave it out", "setting")


def read_table(format: str, path: Path, layout: Layout) -> Table:
    """Read a file, and make sure that the format's reader left out the rows that it was asked to.

    Raises:
        DataError: it cannot be read, or a setting means nothing to the format.
    """
    refuse_useless(path, layout, format, f"files of format {format}")
    table: Table = FORMATS.get(format)(path, layout)
    if layout.selects and not table.is_selected:
        key = "filter" if layout.filter is not None else "drop_missing"
        raise data_error(path, None, f"{key} is for files with columns; format {format} has none")
    return table
