"""Read the columns of a text file into a polars frame."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.find_bad_row import STAND_IN, TextShape, explain_rows, is_rectangular, row_lines
from recrun.data.formats.from_frame import FrameLines
from recrun.data.formats.opening import check_expansion, read_binary
from recrun.data.formats.polars_files import read_text_columns
from recrun.data.formats.table import data_error
from recrun.data.formats.values.numbers import is_number
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER

if TYPE_CHECKING:
    import polars as pl

_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda")


def parse_text(path: Path, shape: TextShape, time: str) -> pl.DataFrame:
    """Return the needed columns of the file, called by their roles; as text where they are not numbers throughout."""
    import polars as pl

    types = [(pl.Float32, time_type) for time_type in _time_types(time)] + [(pl.String, pl.String)]
    source = text_source(path, shape)
    for attempt, (rating_type, time_type) in enumerate(types, start=1):
        try:
            frame = _read_frame(
                source, shape, {USER: pl.String, ITEM: pl.String, RATING: rating_type, TIMESTAMP: time_type}
            )
            break
        except (pl.exceptions.PolarsError, OSError) as error:
            if attempt < len(types):
                continue
            reason = str(error).splitlines()[0]
            raise explain_rows(path, shape) or data_error(path, None, f"cannot be read ({reason})") from error
    # polars does not look at columns nobody asked for, so rows with too few or too many would pass.
    if len(shape.positions) < shape.n_columns:
        refuse_ragged(path, source, shape)
    return frame


def parse_selected(
    path: Path, shape: TextShape, selection: Selection
) -> tuple[pl.DataFrame, np.ndarray, Sequence[str]]:
    """Return the rows that are kept, as text, their positions among all rows, and notes."""
    import polars as pl

    places = list(dict.fromkeys([*shape.positions.values(), *selection.positions.values()]))
    source = text_source(path, shape)
    try:
        frame = read_text_columns(source, shape, dict.fromkeys(places, pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise explain_rows(path, shape) or data_error(path, None, f"cannot be read ({reason})") from error
    refuse_ragged(path, source, shape)
    lines = FrameLines(1 + shape.n_skipped, (lambda: row_lines(source, shape.n_skipped)) if shape.quoted else None)
    mask, notes = selection.mask(frame, lines.line)
    frame = frame.filter(mask).select(pl.col(str(place)).alias(role) for role, place in shape.positions.items())
    return frame, np.flatnonzero(mask), notes


def refuse_ragged(path: Path, source: Path | bytes, shape: TextShape) -> None:
    fault = None if is_rectangular(source, shape) else explain_rows(path, shape)
    if fault is not None:
        raise fault


def text_source(path: Path, shape: TextShape) -> Path | bytes:
    """Return what polars can read: the file itself, or its text recoded to UTF-8 with a separator of one byte."""
    recode = shape.encoding.lower().replace("-", "") not in ("utf8", "ascii")
    if not recode and shape.escape is None and len(shape.separator.encode()) == 1:
        check_expansion(path)
        with path.open("rb") as stream:
            is_like_zlib = stream.read(2) in _ZLIB
        # Text that begins as zlib's streams do would be decompressed; behind a byte order mark it is not.
        return b"\xef\xbb\xbf" + read_binary(path) if is_like_zlib else path
    try:
        text = read_binary(path).decode(shape.encoding)
    except UnicodeDecodeError as error:
        raise explain_rows(path, shape) or data_error(path, None, f"is not {shape.encoding} text") from error
    if shape.escape is not None:
        escaped = re.compile(re.escape(shape.escape) + '(["' + re.escape(shape.escape) + "])")
        text = escaped.sub(lambda pair: '""' if pair[1] == '"' else pair[1], text)
    if len(shape.separator.encode()) > 1:
        text = text.replace(shape.separator, STAND_IN)
    return text.encode("utf-8")


def _time_types(time: str) -> list[Any]:
    """Return the types that a column of times may have, to be tried in turn, by a value of it."""
    import polars as pl

    if re.fullmatch(r"\s*-?\d+\s*", time):
        return [pl.Int64, pl.Float64]
    return [pl.Float64] if is_number(time) else [pl.String]


def _read_frame(source: Path | bytes, shape: TextShape, types: dict[str, Any]) -> pl.DataFrame:
    frame = read_text_columns(source, shape, {position: types[role] for role, position in shape.positions.items()})
    return frame.rename(dict(zip(frame.columns, shape.positions, strict=True)))
