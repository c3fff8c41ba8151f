"""Take some lines of a text file, from its beginning or from all over it, and split them into columns."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from recrun.data.formats.columns.looks import SAMPLE
from recrun.data.formats.find_bad_row import TextShape
from recrun.data.formats.opening import BLOCK, open_binary
from recrun.data.formats.table import data_error

MAX_COLUMNS: Final = 50_000
_HEAD: Final = 1 << 16
_PIECE: Final = 1 << 14
_STEP: Final = BLOCK // 4


SEPARATORS: Final = (",", "\t", ";", "|", "::", " ")
"""Usual separators of columns."""


def guess_separator(line: str) -> str:
    """Return the separator of a file from a line of it: of the usual ones, the one that occurs most often.

    Within quotes nothing separates, and beside a tab blanks belong to values, such as dates.

    >>> guess_separator("user;item;rating"), guess_separator("1::1193::5::978300760")
    (';', '::')
    """
    bare = re.sub('"[^"]*"', '""', line).strip()
    counts = {separator: bare.count(separator) for separator in SEPARATORS}
    counts[" "] *= not counts["\t"]
    best = max(SEPARATORS, key=lambda separator: counts[separator] - (separator == " ") * 1e-3)
    return best if counts[best] else ","


def check_guess(path: Path, guessed: str, encoding: str, quoted: bool) -> None:
    """Check that the separator guessed from the first line is not contradicted by the lines that follow.

    Raises:
        DataError: it cuts a line into more or fewer columns, and another usual one cuts all lines alike; or it cuts all
            lines alike, and so does another one that is as likely.
    """
    lines = _head(path, encoding)
    first = next((line for line in lines if line.strip()), "")
    others = [other for other in SEPARATORS if other != guessed and other in first and guessed not in other]
    if not others:
        return
    sizes = [len(split_line(line, guessed, quoted)) if line.strip() else 0 for line in lines]
    n_columns = next(filter(None, sizes))
    odd = next((place for place, size in enumerate(sizes) if size not in (0, n_columns)), None)
    for other in others:
        found = {len(split_line(line, other, quoted)) for line in lines if line.strip()}
        if len(found) > 1 or found == {1}:
            continue
        if odd is not None:
            here = "is 1 column" if sizes[odd] == 1 else f"are {sizes[odd]} columns"
            message = f"with separator {guessed!r} there {here} here and {n_columns} in the first line"
            message += f"; {other!r} gives {found.pop()} in each; set separator={other!r}"
            raise data_error(path, 1 + odd, message, kind="separator")
        # Names and dates hold blanks, so a blank is the likely separator only where there is no other one.
        if other != " " and (guessed == " " or first.count(other) == first.count(guessed)):
            message = f"separator {guessed!r} gives {n_columns} columns in each line, and {other!r} gives {found.pop()}"
            raise data_error(path, 1, f"{message}; set separator={other!r} or separator={guessed!r}", kind="separator")


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """Return the fields of one line, without the quotes around them where there may be some."""
    if not quoted or len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def split_head(path: Path, line: str, separator: str, quoted: bool) -> list[str]:
    """Return the fields of a file's first line, as `split_line` does.

    Raises:
        DataError: there are more than any table has, so that looking at each would take minutes.
    """
    fields = split_line(line, separator, quoted)
    if len(fields) > MAX_COLUMNS:
        message = f"has {len(fields):,} columns, and at most {MAX_COLUMNS:,} are read; is {separator!r} the separator?"
        raise data_error(path, None, message, "not-data")
    return fields


def sample_columns(path: Path, shape: TextShape, *, spread: bool = False) -> list[list[str]]:
    """Return values of each column of a text, of lines that have as many columns as they should.

    Args:
        path: the file.
        shape: how it is laid out.
        spread: take lines from all over the file, which takes as long as reading it, rather than the first ones.
    """
    lines = _spread_lines(path, shape.encoding) if spread else _first_lines(path, shape.encoding)
    rows = [split_line(line, shape.separator, shape.quoted) for line in lines[int(shape.header) :]]
    rows = [row for row in rows if len(row) == shape.n_columns]
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(shape.n_columns)]


def _first_lines(path: Path, encoding: str) -> list[str]:
    """Return the first whole lines that are not blank."""
    return [line for line in _head(path, encoding) if line.strip()][:SAMPLE]


def _head(path: Path, encoding: str) -> list[str]:
    """Return the whole lines at the beginning of a file, blank ones too."""
    with open_binary(path) as stream:
        sample = stream.read(_HEAD)
    lines = sample.decode(encoding, errors="replace").removeprefix("\ufeff").split("\n")
    if len(sample) == _HEAD and len(lines) > 1:
        lines.pop()
    return [line.removesuffix("\r") for line in lines][: 2 * SAMPLE]


def _spread_lines(path: Path, encoding: str) -> list[str]:
    """Return the first line, and whole lines of pieces that lie evenly in the file."""
    pieces: list[bytes] = []
    with open_binary(path) as stream:
        while block := stream.read(BLOCK):
            pieces += [block[start : start + _PIECE] for start in range(0, len(block), _STEP)]
    if len(pieces) < 2 or encoding.lower().replace("-", "").startswith(("utf16", "utf32")):
        return _first_lines(path, encoding)
    thinned = pieces[:: max(1, len(pieces) // SAMPLE)]
    head = pieces[0].split(b"\n")[:1]
    lines = [*head, *(line for piece in thinned for line in piece.split(b"\n")[1:-1])]
    texts = [line.decode(encoding, errors="replace").removesuffix("\r") for line in lines]
    texts = [line.removeprefix("\ufeff") for line in texts if line.strip()]
    return texts[:: max(1, len(texts) // SAMPLE)]
