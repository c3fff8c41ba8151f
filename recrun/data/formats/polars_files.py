"""Read text and parquet files with polars, and turn its panics into errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.data.formats.find_bad_row import STAND_IN, TextShape
from recrun.data.formats.opening import most_bytes, too_much
from recrun.data.formats.table import data_error

if TYPE_CHECKING:
    import polars as pl

_FIRST_ROWS: Final = 1000
_GROWTH: Final = 100
"""How many times as many rows a piece has at most as all before it, which tell how large a row is."""
_PIECE: Final = 1 << 28
"""Bytes of a piece."""


def read_text_columns(source: Path | bytes, shape: TextShape, types: Mapping[int, Any]) -> pl.DataFrame:
    """Return some columns of a text, called by their positions ("0", "1", ...), in the order of `types`.

    Args:
        source: the file, or its text in UTF-8 with `STAND_IN` for a separator of several bytes.
        shape: how it is laid out.
        types: the polars type of each column that is read; None for text.

    Raises:
        PolarsError, OSError: it cannot be read so.
    """
    import polars as pl

    with _without_panics():
        frame = pl.read_csv(
            source,
            has_header=False,
            skip_rows=shape.n_skipped,
            separator=shape.separator if len(shape.separator.encode()) == 1 else STAND_IN,
            quote_char='"' if shape.quoted else None,
            columns=sorted(types),
            schema={str(position): types.get(position) or pl.String for position in range(shape.n_columns)},
        )
    return frame.select([str(position) for position in types])


def parquet_types(path: Path) -> dict[str, pl.DataType]:
    """Return the polars type of each column of a parquet file, by name.

    Raises:
        DataError: it is not a parquet file that can be read.
    """
    import polars as pl

    with _parquet_errors(path):
        return dict(pl.read_parquet_schema(path))


def parquet_names(path: Path) -> list[str]:
    """Return the names of the columns of a parquet file.

    Raises:
        DataError: it is not a parquet file that can be read.
    """
    return list(parquet_types(path))


def read_parquet_columns(path: Path, names: Sequence[str] | None = None, n_rows: int | None = None) -> pl.DataFrame:
    """Return columns of a parquet file, all of them and all rows unless told otherwise.

    Raises:
        DataError: it is not a parquet file that can be read, or holds more than the free memory can and than real data
            does.
    """
    import polars as pl

    with _parquet_errors(path):
        return pl.concat(_pieces(path, names, n_rows))


def parquet_frames(path: Path, names: Sequence[str], most_rows: int) -> Iterator[pl.DataFrame]:
    """Yield columns of a parquet file in frames of about so many rows, or in one if there are no more.

    Raises:
        DataError: as for `read_parquet_columns`.
    """
    import polars as pl

    waiting: list[pl.DataFrame] = []
    with _parquet_errors(path):
        for piece in _pieces(path, names, None):
            if waiting and sum(each.height for each in waiting) + piece.height > most_rows:
                yield pl.concat(waiting)
                waiting = []
            waiting.append(piece)
        yield pl.concat(waiting)


def _pieces(path: Path, names: Sequence[str] | None, n_rows: int | None) -> Iterator[pl.DataFrame]:
    """Yield the rows of a parquet file in pieces, and refuse it as soon as they are too large.

    A few kilobytes can hold billions of rows, or rows of gigabytes. Pieces take no longer than reading it at once.
    """
    import polars as pl

    rows, limit = pl.scan_parquet(path), most_bytes(path)
    if names is not None:
        rows = rows.select(names)
    n_read = n_bytes = 0
    step = _FIRST_ROWS
    while True:
        wanted = step if n_rows is None else min(step, n_rows - n_read)
        piece = rows.slice(n_read, wanted).collect()
        n_read += piece.height
        n_bytes += int(piece.estimated_size())
        if limit is not None and n_bytes > limit:
            raise too_much(path, limit)
        yield piece
        if piece.height < wanted or n_read == n_rows:
            return
        step = min(n_read * _GROWTH, max(1, _PIECE * n_read // max(n_bytes, 1)))


@contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    import polars as pl

    try:
        with _without_panics():
            yield
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise data_error(path, None, f"is not a parquet file that can be read ({reason})") from error


@contextmanager
def _without_panics() -> Iterator[None]:
    """Raise a panic of polars, which does not derive from Exception, as a PolarsError."""
    import polars as pl

    try:
        yield
    except pl.exceptions.PanicException as panic:
        raise pl.exceptions.ComputeError(str(panic)) from panic
