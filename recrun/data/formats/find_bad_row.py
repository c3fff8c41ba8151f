"""Find the rows that made a fast reader refuse a text file; slow, and only run once something is wrong."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recrun.data.formats.opening import BLOCK, open_binary
from recrun.data.formats.table import shown
from recrun.data.interactions import RATING, TIMESTAMP
from recrun.errors import DataError, RowFault

STAND_IN = "\x1f"
"""Stands for a separator of several characters where a reader only takes one."""


@dataclass(frozen=True)
class TextShape:
    """How a text file is laid out.

    Args:
        separator: what stands between two columns, one or several characters.
        header: whether the first line holds names.
        quoted: whether values may stand in double quotes.
        encoding: of the text.
        n_columns: how many columns every row has.
        positions: which column holds the user, the item, the rating, the time.
    """

    separator: str
    header: bool
    quoted: bool
    encoding: str
    n_columns: int
    positions: Mapping[str, int]


def explain_rows(path: Path, shape: TextShape, kept: Container[int] | None = None) -> DataError | None:
    """Return the error for the first row that is not as the others should be, or None when all are well formed.

    Args:
        path: the file.
        shape: how it is laid out.
        kept: the lines of the rows that are used; None for all.
    """

    def rows() -> Iterator[RowFault]:
        return (row for row in find_bad_rows(path, shape) if kept is None or row.line in kept)

    first = next(rows(), None)
    if first is None:
        return None
    return DataError(first.message, path=path, line=first.line, kind=first.kind, rows=rows)


def find_bad_rows(path: Path, shape: TextShape) -> Iterator[RowFault]:
    """Yield the fault of each row that is not as the others should be."""
    can_escape = shape.encoding.lower().replace("-", "") in ("utf8", "ascii")
    are_dates: bool | None = None
    with open_binary(path) as stream:
        errors = "surrogateescape" if can_escape else "replace"
        with io.TextIOWrapper(stream, encoding=shape.encoding, errors=errors, newline="") as text:
            for line, n_lines, row in _rows(text, shape):
                if isinstance(row, csv.Error):
                    yield RowFault("ragged", line, f"cannot be split into columns ({row})", n_lines)
                    continue
                is_header = shape.header and line == 1
                if TIMESTAMP in shape.positions and len(row) == shape.n_columns and are_dates is None and not is_header:
                    are_dates = not is_number(row[shape.positions[TIMESTAMP]])
                kind, message = _complaint(row, shape, are_dates or False)
                if kind == "encoding" or (kind and not is_header):
                    yield RowFault(kind, line, message, n_lines)


def is_rectangular(source: Path | bytes, shape: TextShape) -> bool:
    """Return whether every line of a text surely has as many separators as its columns need.

    Args:
        source: the file, or its text in UTF-8 with `STAND_IN` for a separator of several bytes.
        shape: how it is laid out.
    """
    separator = shape.separator.encode() if len(shape.separator.encode()) == 1 else STAND_IN.encode()
    with nullcontext(io.BytesIO(source)) if isinstance(source, bytes) else open_binary(source) as stream:
        n_before, length_before, is_quoted, last = 0, 0, False, 0
        while block := stream.read(BLOCK):
            characters = np.frombuffer(block, dtype=np.uint8)
            is_end, is_separator = characters == 10, characters == separator[0]
            if shape.quoted and (is_quoted or b'"' in block):
                # Between an odd quote and the next one, nothing ends and nothing separates.
                within = ((characters == 34).cumsum() + is_quoted) % 2 == 1
                is_end &= ~within
                is_separator &= ~within
                is_quoted = bool(within[-1])
            ends = np.flatnonzero(is_end)
            places = np.flatnonzero(is_separator)
            n_until = np.append(np.searchsorted(places, ends), len(places))
            n_separators = np.diff(n_until, prepend=-n_before)
            lengths = np.diff(np.append(ends, len(block) - 1), prepend=-1 - length_before)
            n_before, length_before = int(n_separators[-1]), int(lengths[-1])
            is_return = np.concatenate(([last], characters[:-1]))[ends] == 13
            is_blank = lengths[:-1] == np.where(is_return, 2, 1)
            if ((n_separators[:-1] != shape.n_columns - 1) & ~is_blank).any():
                return False
            last = int(characters[-1])
    return length_before == 0 or n_before == shape.n_columns - 1


def _rows(text: io.TextIOWrapper, shape: TextShape) -> Iterator[tuple[int, int, list[str] | csv.Error]]:
    """Yield (the line in which it begins, how many lines it takes, fields or why there are none) of each row."""
    one_character = len(shape.separator) == 1
    lines: Iterator[str] = text if one_character else (line.replace(shape.separator, STAND_IN) for line in text)
    reader = csv.reader(
        lines,
        delimiter=shape.separator if one_character else STAND_IN,
        quoting=csv.QUOTE_MINIMAL if shape.quoted else csv.QUOTE_NONE,
    )
    before = 0
    while True:
        row: list[str] | csv.Error | None
        try:
            row = next(reader, None)
        except csv.Error as error:
            row = error
        if row is None:
            return
        if row:
            yield before + 1, reader.line_num - before, row
        before = reader.line_num


def _complaint(row: Sequence[str], shape: TextShape, are_dates: bool) -> tuple[str, str]:
    """Return the kind of a row's fault and what is wrong, or two empty texts; times are all dates, or none is."""
    text = shape.separator.join(row)
    if not text.isascii():
        is_damaged = re.search("[\udc80-\udcff]", text) is not None
        if is_damaged or ("\ufffd" in text and not shape.encoding.lower().startswith("utf")):
            found = text.encode("utf-8", "surrogateescape").decode("latin-1") if is_damaged else text
            return "encoding", f"is not {shape.encoding} text: {shown(found.strip())}; set encoding (latin-1?)"
    if len(row) != shape.n_columns:
        if shape.quoted and row[-1].endswith("\n"):
            return "quotes", "a quote that begins here is not closed"
        return "ragged", f"expected {shape.n_columns} columns, found {len(row)}: {shown(text)}"
    for role, position in shape.positions.items():
        value = row[position]
        if not value.strip():
            return "missing-value", f"the {role} is missing (column {position + 1})"
        if role == TIMESTAMP and are_dates and "-" in value[1:]:
            continue
        if role in (RATING, TIMESTAMP) and not is_number(value):
            return "not-a-number", f"expected a number as {role} (column {position + 1}), found {shown(value)}"
    return "", ""


def is_number(text: str) -> bool:
    """Return whether a text is a finite number as files write them."""
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False
