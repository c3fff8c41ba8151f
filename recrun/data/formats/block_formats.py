"""Read text in which a line holds no interaction of its own: blocks of the Netflix Prize, impressions of MIND."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.file_kinds import refuse_other_kinds
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.integer_lines import line_blocks
from recrun.data.formats.opening import check_encoding, open_binary
from recrun.data.formats.table import Layout, Table, data_error, shown
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError, RowFault
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import polars as pl

_BLOCK: Final = 1 << 22
"""Bytes that are parsed together."""
_MOVIE: Final = r"^\d{1,18}:\s*$"
_RATING: Final = r"^\d{1,18},\d+(\.\d+)?,\d{4}-\d\d-\d\d\s*$"
_IMPRESSIONS: Final = r"^[^\t]*\t[^\t]+\t[^\t]+\t[^\t]*\t\s*[^\t ]+-[01]( +[^\t ]+-[01])*\s*$"
_CLOCK: Final = "%m/%d/%Y %I:%M:%S %p"


@dataclass(frozen=True)
class _Grammar:
    """How the lines of a format are written.

    Args:
        name: of the format.
        expected: what a message says that a line should be.
        is_sound: an expression over the column "line" that is true of each sound line.
    """

    name: str
    expected: str
    is_sound: Callable[[pl.Expr], pl.Expr]


def _netflix_is_sound(line: pl.Expr) -> pl.Expr:
    date = line.str.slice(-10).str.to_date("%Y-%m-%d", strict=False)
    return line.str.contains(_MOVIE) | (line.str.contains(_RATING) & date.is_not_null())


def _mind_is_sound(line: pl.Expr) -> pl.Expr:
    time = line.str.split("\t").list.get(2, null_on_oob=True).str.to_datetime(_CLOCK, strict=False)
    return line.str.contains(_IMPRESSIONS) & time.is_not_null()


_NETFLIX: Final = _Grammar("netflix", "`movie:` or `user,rating,year-month-day`", _netflix_is_sound)
_MIND: Final = _Grammar(
    "mind",
    "five columns between tabs: impression, user, a time such as `11/15/2019 8:55:22 AM`, history, and labelled "
    "impressions such as `N1-1 N2-0`",
    _mind_is_sound,
)


@FORMATS.register("netflix", without=("text", "columns"))
def read_netflix(path: Path, layout: Layout) -> Table:
    """Read the files of the Netflix Prize: a line `movie:`, and below it `user,rating,date` for each of its ratings."""
    import polars as pl

    frames: list[pl.DataFrame] = []
    skipped: list[np.ndarray] = []
    movie: str | None = None
    for lines in _sound_lines(path, layout, _NETFLIX):
        is_movie = pl.col("line").str.ends_with(":")
        lines = lines.with_columns(pl.when(is_movie).then(pl.col("line").str.strip_suffix(":")).alias(ITEM))
        lines = lines.with_columns(pl.col(ITEM).forward_fill().fill_null(pl.lit(movie, dtype=pl.String)))
        ratings = lines.filter(~is_movie & (pl.col("line") != ""))
        if ratings[ITEM].null_count():
            line = int(ratings["number"][0])
            raise data_error(path, line, f"expected a line `movie:` first, found {shown(ratings['line'][0])}")
        skipped.append(lines.filter(is_movie | (pl.col("line") == ""))["number"].to_numpy())
        movie = lines[ITEM][-1]
        parts = pl.col("line").str.split_exact(",", 2).struct
        frames.append(
            ratings.select(
                parts.field("field_0").cast(pl.Int64).alias(USER),
                pl.col(ITEM).cast(pl.Int64),
                parts.field("field_1").cast(pl.Float32).alias(RATING),
                parts.field("field_2").str.to_date("%Y-%m-%d").alias(TIMESTAMP),
            )
        )
    without = np.concatenate(skipped) if skipped else np.zeros(0, dtype=np.int64)
    rows_before = without - np.arange(len(without)) - 1

    def line_of(row: int) -> int:
        return row + 1 + int(np.searchsorted(rows_before, row, side="right"))

    return _table(frames, path, layout, line_of)


@FORMATS.register("mind", without=("text", "columns"))
def read_mind(path: Path, layout: Layout) -> Table:
    """Read `behaviors.tsv` of MIND: each clicked impression is an interaction; histories are not read."""
    import polars as pl

    frames: list[pl.DataFrame] = []
    numbers: list[np.ndarray] = []
    for lines in _sound_lines(path, layout, _MIND):
        parts = pl.col("line").str.split_exact("\t", 4).struct
        clicks = (
            lines.filter(pl.col("line") != "")
            .select(
                "number",
                parts.field("field_1").alias(USER),
                parts.field("field_4").str.strip_chars().str.split(" ").alias(ITEM),
                parts.field("field_2").str.to_datetime(_CLOCK, time_unit="us").alias(TIMESTAMP),
            )
            .explode(ITEM)
            .filter(pl.col(ITEM).str.ends_with("-1"))
            .with_columns(pl.col(ITEM).str.strip_suffix("-1"))
        )
        numbers.append(clicks["number"].to_numpy())
        frames.append(clicks.drop("number"))
    of_rows = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.int64)
    note = f"{path.name}: each clicked impression is an interaction; histories have no times and are not read"
    return _table(frames, path, layout, lambda row: int(of_rows[row]), (note,))


def _sound_lines(path: Path, layout: Layout, grammar: _Grammar) -> Iterator[pl.DataFrame]:
    """Yield frames of "number" (of the line, from 1) and "line", without its end.

    Raises:
        DataError: a line is not as the grammar says, or settings are given that the format leaves no choice about.
    """
    check_encoding(path, layout.encoding)
    refuse_other_kinds(path, layout.encoding, reads=(grammar.name,))
    for lines, bad in _judged_lines(path, layout.encoding, grammar):
        if bad.height:
            first = next(_faults(path, layout.encoding, grammar))
            raise DataError(
                first.message,
                path=path,
                line=first.line,
                kind=first.kind,
                rows=lambda: _faults(path, layout.encoding, grammar),
            )
        yield lines


def _judged_lines(path: Path, encoding: str, grammar: _Grammar) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the lines of each block of the file, and those of them that are not as they should be."""
    import polars as pl

    with open_binary(path) as stream:
        for first_line, block in line_blocks(stream, _BLOCK):
            text = block.decode(encoding, errors="replace").removesuffix("\n")
            line = pl.Series("line", [text]).str.split("\n").explode().str.strip_chars_end("\r ")
            lines = pl.DataFrame({"number": np.arange(first_line, first_line + len(line)), "line": line})
            is_damaged = pl.col("line").str.contains("\ufffd", literal=True)
            is_sound = (grammar.is_sound(pl.col("line")) & ~is_damaged) | (pl.col("line") == "")
            yield lines, lines.filter(~is_sound)


def _faults(path: Path, encoding: str, grammar: _Grammar) -> Iterator[RowFault]:
    for _, bad in _judged_lines(path, encoding, grammar):
        for number, line in bad.iter_rows():
            yield RowFault("ragged", number, f"expected {grammar.expected}; found {shown(line)}")


def _table(
    frames: list[pl.DataFrame], path: Path, layout: Layout, line_of: Callable[[int], int], notes: tuple[str, ...] = ()
) -> Table:
    """Return the table of frames whose rows are not the lines of the file."""
    import polars as pl

    if not any(frame.height for frame in frames):
        raise data_error(path, None, "holds no interactions", kind="empty")
    frame, kept = pl.concat(frames), None
    if layout.selects:
        selection = Selection(path, layout, frame.columns)
        numbered = frame.select(
            pl.col(frame.columns[place]).alias(str(place)) for place in selection.positions.values()
        )
        mask, told = selection.mask(numbered, line_of)
        kept, notes, frame = np.flatnonzero(mask), (*notes, *told), frame.filter(mask)
    try:
        table = frame_to_table(frame, path, 0, lambda: None, notes, kept=kept)
    except DataError as error:
        line, rows = None if error.line is None else line_of(error.line), error.rows

        def find() -> Iterator[RowFault]:
            return (fault._replace(line=line_of(fault.line)) for fault in rows())

        raise DataError(error.message, path=path, line=line, kind=error.kind, rows=find) from None
    return replace(table, line_of=lambda row: line_of(table.line_of(row)))
