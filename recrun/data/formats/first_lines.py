"""Read the first lines of a text, however long they are, and refuse what no line can begin with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from recrun.data.formats.file_kinds import refuse_other_kinds
from recrun.data.formats.opening import check_encoding, open_binary
from recrun.data.formats.table import data_error

LONGEST: Final = 1 << 23
"""Bytes that the first two lines may take together."""
_SAMPLE: Final = 1 << 16


class FirstLines(NamedTuple):
    """How a text begins.

    Args:
        first: the first line that is not empty.
        second: the next that is not blank, or "" where there is none.
        n_above: how many empty lines stand above the first.
        n_between: how many empty lines follow it.
    """

    first: str
    second: str
    n_above: int = 0
    n_between: int = 0

    def n_skipped(self, header: bool) -> int:
        """Return how many lines stand above the first row, with a header row or without."""
        return self.n_above + (1 + self.n_between if header else 0)


def first_lines(path: Path, encoding: str) -> FirstLines:
    """Return how a text begins.

    Raises:
        DataError: the file is empty, of another kind than text, or its lines do not end with a newline.
    """
    check_encoding(path, encoding)
    refuse_other_kinds(path, encoding)
    with open_binary(path) as stream:
        sample, size = stream.read(_SAMPLE), _SAMPLE
        while not _has_two(lines := _lines(sample, encoding)) and len(sample) == size <= LONGEST:
            sample, size = sample + stream.read(size), 2 * size
    if not _has_two(lines) and len(sample) > LONGEST:
        message = f"the line is longer than {LONGEST >> 20} MiB; is this a text of lines?"
        raise data_error(path, len(lines), message, "not-data")
    for number, line in enumerate(lines, start=1):
        _refuse_characters(path, number, line, encoding)
    lines = [line.removesuffix("\r") for line in lines]
    n_above = next((place for place, line in enumerate(lines) if line), 0)
    first, *others = lines[n_above:]
    n_between = next((place for place, line in enumerate(others) if line), 0)
    return FirstLines(first, next((line for line in others if line.strip()), ""), n_above, n_between)


def _lines(sample: bytes, encoding: str) -> list[str]:
    """Return the lines of a sample up to the second that is not blank, and the next, which shows that it is whole."""
    lines, n_filled = [], 0
    for line in sample.decode(encoding, errors="replace").removeprefix("\ufeff").split("\n"):
        lines.append(line)
        if n_filled == 2:
            break
        n_filled += bool(line.strip())
    return lines


def _has_two(lines: Sequence[str]) -> bool:
    return sum(bool(line.strip()) for line in lines[:-1]) >= 2


def _refuse_characters(path: Path, number: int, line: str, encoding: str) -> None:
    if "\0" in line:
        message = f"is not {encoding} text: found a byte 0; is the file damaged, or another encoding?"
        raise data_error(path, number, message, "encoding")
    if "\r" in re.sub('"[^"]*"', "", line.removesuffix("\r")):
        name = path.name
        message = (
            f"a carriage return within a line; lines must end with a newline: tr '\\r' '\\n' < {name} > new-{name}"
        )
        raise data_error(path, number, message, "old-line-ends")
