"""Finding the row of a text file that a fast reader refused: slow, exact, and only run once something is wrong."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recrun.data.formats.base import data_error, open_binary
from recrun.data.interactions import RATING, TIMESTAMP
from recrun.errors import DataError

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


def explain_rows(path: Path, shape: TextShape) -> DataError | None:
    """Return the error for the first row that is not as the others should be, or None when all are well formed."""
    with open_binary(path) as stream:
        try:
            with io.TextIOWrapper(stream, encoding=shape.encoding, newline="") as text:
                for line, row in _rows(text, shape):
                    message = _complaint(row, shape)
                    if message:
                        return data_error(path, line, message)
        except UnicodeDecodeError as error:
            return _undecodable(path, shape, error)
        except csv.Error as error:
            return data_error(path, None, f"cannot be split into columns ({error})")
    return None


def _rows(text: io.TextIOWrapper, shape: TextShape) -> Iterator[tuple[int, list[str]]]:
    one_character = len(shape.separator) == 1
    lines: Iterator[str] = text if one_character else (line.replace(shape.separator, STAND_IN) for line in text)
    reader = csv.reader(
        lines,
        delimiter=shape.separator if one_character else STAND_IN,
        quoting=csv.QUOTE_MINIMAL if shape.quoted else csv.QUOTE_NONE,
    )
    for number, row in enumerate(reader):
        if row and not (number == 0 and shape.header):
            yield reader.line_num, row


def _complaint(row: Sequence[str], shape: TextShape) -> str:
    if len(row) != shape.n_columns:
        return f"expected {shape.n_columns} columns, found {len(row)}: {_shown(shape.separator.join(row))}"
    for role, position in shape.positions.items():
        value = row[position]
        if not value.strip():
            return f"the {role} is missing (column {position + 1})"
        if role in (RATING, TIMESTAMP) and not _is_number(value) and not (role == TIMESTAMP and "-" in value[1:]):
            return f"expected a number as {role} (column {position + 1}), found {_shown(value)}"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")


def _undecodable(path: Path, shape: TextShape, error: UnicodeDecodeError) -> DataError:
    """Return the error that names the first line which is not text in the encoding."""
    with open_binary(path) as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode(shape.encoding)
            except UnicodeDecodeError:
                return data_error(
                    path,
                    number,
                    f"is not {shape.encoding} text: {_shown(line.decode('latin-1').strip())}; set encoding (latin-1?)",
                )
    return data_error(path, None, f"is not {shape.encoding} text ({error.reason}); set encoding")
