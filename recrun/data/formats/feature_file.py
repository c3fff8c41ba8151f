"""Read named columns of a file as text: labels, categories and numbers beside users and items."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.columns.names import bare_name
from recrun.data.formats.columns.sample_lines import check_guess, guess_separator, split_head, split_line
from recrun.data.formats.columns.select_rows import Selection, refuse_useless
from recrun.data.formats.delimited import check_marks, looks_like_header
from recrun.data.formats.file_kinds import kind_of, read_start, refuse_unless
from recrun.data.formats.find_bad_row import TextShape, explain_rows, is_rectangular, row_lines
from recrun.data.formats.first_lines import FirstLines, first_lines
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns, read_text_columns
from recrun.data.formats.table import Layout, data_error
from recrun.data.formats.text_frame import text_source
from recrun.data.formats.values.numbers import largest_exact
from recrun.errors import nearest

if TYPE_CHECKING:
    import polars as pl

LINE: Final = "\0line"
"""The name of the column with each row's number in its file, of which `FeatureFile.line` makes its line."""
_TABS: Final = (".tsv", ".inter", ".user", ".item")
_PARQUET: Final = (".parquet", ".pq")
_NO_COLUMNS: Final = {
    "jsonl": "holds JSON",
    "pylines": "holds Python dicts",
    "parquet": "is a parquet file under another name",
}


class FeatureFile:
    """A table in a file: text with a separator between columns (RecBole's atomic files too), or parquet.

    Args:
        path: the file; its ending tells parquet, and files with tabs and no quotes (.tsv, .inter, .user, .item).
        layout: separator, header and encoding where they are not to be found out.
        ending: the ending of its name without that of a compression.
    """

    def __init__(self, path: Path, layout: Layout, ending: str) -> None:
        self.path = path
        self._layout = layout
        self._ending = ending.lower()
        self.notes: list[str] = []
        """What a user should know about the rows that were read last."""
        format = "parquet" if self._ending in _PARQUET else "tsv" if self._ending in _TABS else "csv"
        refuse_useless(path, layout, format, f"{ending} files")

    @property
    def selecting(self) -> set[str]:
        """The names of the columns that rows are selected by."""
        places = Selection(self.path, self._layout, self.written_names).positions.values()
        return {self.names[place] for place in places}

    @cached_property
    def written_names(self) -> list[str]:
        """The names of the columns as they are written; their numbers from 1 where the file has no header row."""
        if self._ending in _PARQUET:
            refuse_unless(self.path, "parquet")
            return parquet_names(self.path)
        first = self._first_lines.first
        names = split_line(first, self._shape.separator, self._shape.quoted)
        return names if self._shape.header else [str(place + 1) for place in range(len(names))]

    @cached_property
    def names(self) -> list[str]:
        """The names of the columns, without the types that RecBole writes behind them."""
        names = [bare_name(name) for name in self.written_names]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise data_error(self.path, 1, f"several columns are called {', '.join(map(repr, repeated))}")
        return names

    def kind(self, name: str) -> str:
        """Return the type that RecBole writes behind the name of a column, or ""."""
        found = re.search(r":(\w+)$", self.written_names[self.names.index(name)])
        return found.group(1) if found else ""

    def require(self, name: str, setting: str) -> None:
        """Check that there is a column of that name.

        Raises:
            DataError: there is none; the message names the setting, the nearest name and those there are.
        """
        if name not in self.names:
            near = nearest(name, self.names)
            hint = f"; did you mean {near!r}?" if near else ""
            found = ", ".join(map(repr, self.names[:60]))
            raise data_error(self.path, 1, f"there is no column {name!r}, which {setting} names{hint} Found: {found}")

    def read(self, names: Sequence[str], *, quantities: Collection[str] = ()) -> pl.DataFrame:
        """Return some columns as text, null where nothing is written, and `LINE`; blank lines are left out.

        Args:
            names: the columns.
            quantities: those of numbers that are computed with. The whole numbers of other columns are names, and are
                written without a point even where a parquet file has them as floats.

        Raises:
            DataError: rows have too few or too many columns; the file cannot be read, or holds no rows; a name is a
                float that stands for several integers.
        """
        import polars as pl

        places = [self.names.index(name) for name in names]
        selection = Selection(self.path, self._layout, self.written_names)
        others = [place for place in dict.fromkeys(selection.positions.values()) if place not in places]
        wanted = [*places, *others]
        ids = [self.written_names[place] for place in places if self.names[place] not in quantities]
        frame = self._read_parquet(wanted, ids) if self._ending in _PARQUET else self._read_text(wanted)
        first = 1 if self._ending in _PARQUET else 1 + self._shape.n_skipped
        frame = frame.rename(dict(zip(frame.columns, map(str, wanted), strict=True)))
        lines = np.arange(first, first + frame.height)
        if self._layout.selects:
            mask, self.notes = selection.mask(frame, lambda row: self.line(first + row))
            frame, lines = frame.filter(mask), lines[mask]
        frame = frame.select(pl.col(str(place)).alias(name) for place, name in zip(places, names, strict=True))
        frame = frame.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in names)
        frame = frame.with_columns(pl.Series(LINE, lines))
        frame = frame.filter(~pl.all_horizontal(pl.col(list(names)).is_null()))
        if not frame.height:
            raise data_error(self.path, None, "holds no rows")
        return frame

    def line(self, number: int) -> int:
        """Return the line of a row, for messages, from its number in the column `LINE`."""
        if self._ending in _PARQUET or not self._shape.quoted:
            return number
        place = number - 1 - self._shape.n_skipped
        return int(self._starts[place]) if place < len(self._starts) else number

    @cached_property
    def _starts(self) -> np.ndarray:
        return row_lines(text_source(self.path, self._shape), self._shape.n_skipped)

    @cached_property
    def _first_lines(self) -> FirstLines:
        kind = kind_of(read_start(self.path))
        if kind.name in _NO_COLUMNS:
            message = f"{_NO_COLUMNS[kind.name]}; labelled rows are read from text in columns and from .parquet files"
            raise data_error(self.path, None, message, "not-data")
        return first_lines(self.path, self._layout.encoding)

    @cached_property
    def _shape(self) -> TextShape:
        start = self._first_lines
        first, second = start.first, start.second
        has_tabs = self._ending in _TABS
        separator = self._layout.separator or ("\t" if has_tabs else guess_separator(first))
        if self._layout.separator is None and not has_tabs:
            check_guess(self.path, separator, self._layout.encoding, quoted=True)
        check_marks(self.path, separator, self._layout.escape)
        names = split_head(self.path, first, separator, not has_tabs)
        header = looks_like_header(names) if self._layout.header is None else self._layout.header
        if header and not second:
            raise data_error(self.path, None, "holds no rows, only a header row", kind="empty")
        positions: Mapping[str, int] = {}
        escape = None if has_tabs else self._layout.escape
        return TextShape(
            separator,
            header,
            not has_tabs,
            self._layout.encoding,
            len(names),
            positions,
            escape,
            start.n_skipped(header),
        )

    def _read_text(self, places: Sequence[int]) -> pl.DataFrame:
        import polars as pl

        source, shape = text_source(self.path, self._shape), self._shape
        try:
            frame = read_text_columns(source, shape, dict.fromkeys(places, pl.String))
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise explain_rows(self.path, shape) or data_error(self.path, None, f"cannot be read ({reason})") from error
        fault = None if is_rectangular(source, shape) else explain_rows(self.path, shape)
        if fault:
            raise fault
        return frame

    def _read_parquet(self, places: Sequence[int], ids: Sequence[str]) -> pl.DataFrame:
        import polars as pl

        names = [self.written_names[place] for place in places]
        frame = read_parquet_columns(self.path, names).select(names)
        nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
        if nested:
            raise data_error(
                self.path,
                None,
                f"{nested[0]!r} holds lists; write their values in text with a separator, for multi_columns",
            )
        floats = [name for name in ids if frame.schema[name].is_float()]
        return frame.with_columns(self._whole(frame[name]) for name in floats).cast(dict.fromkeys(names, pl.String))

    def _whole(self, values: pl.Series) -> pl.Series:
        """Return a column of floats as integers if all of them are whole; NaN is a missing value."""
        import polars as pl

        values = values.fill_nan(None)
        written = values.drop_nulls().to_numpy()
        if not (np.floor(written) == written).all():
            return values
        rounded = (values.abs() >= largest_exact(written)).arg_true()
        if len(rounded):
            place = int(rounded[0])
            told = f"the {values.name} is {values[place]:.0f}, which {values.dtype} cannot tell from its neighbours"
            raise data_error(self.path, 1 + place, f"{told}; write the column as integers or text", "rounded-id")
        whole: pl.Series = values.cast(pl.Int64)
        return whole
