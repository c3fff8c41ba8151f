"""Find the rows that made a fast reader refuse a text file; slow, and only run once something is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recrun.data.formats.first_lines import LONGEST
from recrun.data.formats.opening import BLOCK, open_binary
from recrun.data.formats.quotes import are_sound_quotes, fault_of_writing
from recrun.data.formats.table import shown
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
        escape: the character before a quote that is part of a quoted value; None where such a quote is doubled.
        n_above: how many lines stand above the first row; None for the header row alone, if there is one.
    """

    separator: str
    header: bool
    quoted: bool
    encoding: str
    n_columns: int
    positions: Mapping[str, int]
    escape: str | None = None
    n_above: int | None = None

    @property
    def n_skipped(self) -> int:
        """How many lines stand above the first row."""
        return int(self.header) if self.n_above is None else self.n_above


def explain_rows(path: Path, shape: TextShape) -> DataError | None:
    """Return the error for the first row that is not as the others should be, or None when all are well formed."""
    first = next(find_bad_rows(path, shape), None)
    if first is None:
        return None
    return DataError(
        first.message, path=path, line=first.line, kind=first.kind, rows=lambda: find_bad_rows(path, shape)
    )


def find_bad_rows(path: Path, shape: TextShape) -> Iterator[RowFault]:
    """Yield the fault of each row that does not have the columns of the others, or is not text."""
    can_escape = shape.encoding.lower().replace("-", "") in ("utf8", "ascii")
    with open_binary(path) as stream:
        errors = "surrogateescape" if can_escape else "replace"
        with io.TextIOWrapper(stream, encoding=shape.encoding, errors=errors, newline="\n") as text:
            for line, n_lines, row, written in _rows(text, shape):
                separator = shape.separator if len(shape.separator) == 1 else STAND_IN
                fault = fault_of_writing(written, separator, shape.quoted, shape.escape)
                if (
                    not fault
                    and n_lines > 1
                    and all(each.count(separator) == shape.n_columns - 1 for each in written.splitlines())
                ):
                    found = shown(written, 60)
                    fault = (
                        "quotes",
                        f"a quote that begins here is closed {n_lines - 1} lines below, among other rows: {found}",
                    )
                if fault or isinstance(row, csv.Error):
                    kind, message = fault or ("ragged", f"cannot be split into columns ({row})")
                    yield RowFault(kind, line, message.replace(repr(STAND_IN)[1:-1], shape.separator), n_lines)
                    continue
                is_header = line <= shape.n_skipped
                kind, message = _complaint(row, shape)
                if kind == "ragged" and not written.endswith("\n"):
                    message += "; this last line has no end: was the file cut off?"
                if kind == "encoding" or (kind and not is_header):
                    yield RowFault(kind, line, message, n_lines)


def is_rectangular(source: Path | bytes, shape: TextShape) -> bool:
    """Return whether every line of a text surely has as many separators as its columns need, and sound quotes.

    Args:
        source: the file, or its text in UTF-8 with `STAND_IN` for a separator of several bytes.
        shape: how it is laid out.
    """
    separator = shape.separator.encode() if len(shape.separator.encode()) == 1 else STAND_IN.encode()
    with nullcontext(io.BytesIO(source)) if isinstance(source, bytes) else open_binary(source) as stream:
        n_before, length_before, is_quoted, last = 0, 0, False, 0
        while block := stream.read(BLOCK):
            block += stream.readline()
            if not last:
                block = block.removeprefix(b"\xef\xbb\xbf")
            characters = np.frombuffer(block, dtype=np.uint8)
            is_end, is_separator = characters == 10, characters == separator[0]
            if shape.quoted and (is_quoted or b'"' in block):
                if not are_sound_quotes(characters, separator[0], is_quoted, shape.escape is None):
                    return False
                # Between an odd quote and the next one, nothing ends and nothing separates.
                within = np.logical_xor.accumulate(characters == 34) ^ is_quoted
                if (is_end & within).any() and _run_rows_together(is_end, is_separator, within, shape.n_columns):
                    return False
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
    return not is_quoted and (length_before == 0 or n_before == shape.n_columns - 1)


def row_lines(source: Path | bytes, n_skipped: int) -> np.ndarray:
    """Return the line in which each row of a text with quoted values begins, int64 (N,); blank lines are rows.

    Args:
        source: the file, or its text in UTF-8.
        n_skipped: how many rows at the start are left out.
    """
    starts, line, is_quoted, is_open = [np.ones(1, dtype=np.int64)], 1, False, False
    with nullcontext(io.BytesIO(source)) if isinstance(source, bytes) else open_binary(source) as stream:
        while block := stream.read(BLOCK):
            characters = np.frombuffer(block, dtype=np.uint8)
            within = ((characters == 34).cumsum() + is_quoted) % 2 == 1
            ends = np.flatnonzero(characters == 10)
            starts.append((line + 1 + np.arange(len(ends)))[~within[ends]])
            line, is_quoted, is_open = line + len(ends), bool(within[-1]), block[-1:] != b"\n"
    found = np.concatenate(starts)
    return found[n_skipped : len(found) if is_open else -1]


def _run_rows_together(is_end: np.ndarray, is_separator: np.ndarray, within: np.ndarray, n_columns: int) -> bool:
    """Return whether an end of a line within quotes stands between two lines that look like rows of their own.

    Args:
        is_end: which bytes of whole lines end one (B,).
        is_separator: which bytes separate values, quoted or not (B,).
        within: which bytes stand within quotes (B,).
        n_columns: of every row.
    """
    ends = np.flatnonzero(is_end)
    ends = ends if is_end[-1] else np.append(ends, len(is_end))
    counts = np.diff(np.searchsorted(np.flatnonzero(is_separator), ends), prepend=0)
    like_rows = counts == n_columns - 1
    return bool((within[ends[:-1]] & like_rows[:-1] & like_rows[1:]).any())


def _rows(text: io.TextIOWrapper, shape: TextShape) -> Iterator[tuple[int, int, list[str] | csv.Error, str]]:
    """Yield (line in which it begins, how many lines it takes, fields or why there are none, its text) of each row."""
    one_character = len(shape.separator) == 1
    written: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            written.append(line if one_character else line.replace(shape.separator, STAND_IN))
            yield written[-1]

    csv.field_size_limit(max(csv.field_size_limit(), LONGEST))
    reader = csv.reader(
        lines(),
        delimiter=shape.separator if one_character else STAND_IN,
        quoting=csv.QUOTE_MINIMAL if shape.quoted else csv.QUOTE_NONE,
        escapechar=shape.escape if shape.quoted else None,
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
            yield before + 1, reader.line_num - before, row, "".join(written)
        written.clear()
        before = reader.line_num


def _complaint(row: Sequence[str], shape: TextShape) -> tuple[str, str]:
    """Return the kind of a row's fault and what is wrong, or two empty texts."""
    text = shape.separator.join(row)
    if not text.isascii():
        is_damaged = re.search("[\udc80-\udcff]", text) is not None
        if is_damaged or ("\ufffd" in text and not shape.encoding.lower().startswith("utf")):
            found = text.encode("utf-8", "surrogateescape").decode("latin-1") if is_damaged else text
            return "encoding", f"is not {shape.encoding} text: {shown(found.strip())}; set encoding (latin-1?)"
    if len(row) != shape.n_columns:
        if shape.quoted and row[-1].endswith("\n"):
            return "quotes", "a quote that begins here is not closed"
        hint = "; the lines end with a separator" if len(row) == shape.n_columns + 1 and not row[-1].strip() else ""
        return "ragged", f"expected {shape.n_columns} columns, found {len(row)}: {shown(text)}{hint}"
    return "", ""
