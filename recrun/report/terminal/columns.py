"""Arrange the columns of a table in the width of a terminal.

In order, until a table fits: headings are broken into two lines; columns of prose are wrapped at words; columns are
left out, those with the highest rank first, and named; the columns that are never left out are put on several lines.
Numbers and names are never broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len

GAP: Final = 2
INDENT: Final = 2
_LEAST_PROSE: Final = 20
"""Prose is not wrapped more narrowly than this."""
_LONGEST_WORD: Final = 28
"""Words of prose are not broken unless they are longer."""
_BREAKS: Final = re.compile(r"[^/_,.=:;@|-]*[/_,.=:;@|-]*")


@dataclass(frozen=True)
class Field:
    """What a table shows in a column.

    Args:
        name: the heading.
        rank: 0 for a column that is always shown; the others are left out from the highest rank down.
        wraps: whether it holds prose, which may be wrapped.
    """

    name: str
    rank: int = 0
    wraps: bool = False


@dataclass
class Column:
    """The cells of a column, and how wide it is drawn."""

    field: Field
    cells: Sequence[str]
    is_number: bool = False

    def __post_init__(self) -> None:
        self.head: list[str] = [self.field.name]
        self._widest = max(map(text_width, self.cells), default=0)
        self.width = max(self._widest, text_width(self.field.name))

    @property
    def least(self) -> int:
        """The least width in which the column can be read."""
        if not self.field.wraps:
            return self.width
        longest = max((text_width(word) for cell in self.cells for word in cell.split(" ")), default=0)
        return min(self.width, max(_LEAST_PROSE, min(longest, _LONGEST_WORD), *map(text_width, self.head)))

    def break_head(self) -> None:
        """Break the heading into two lines if the cells are narrower."""
        self.head = _two_lines(self.field.name) if self._widest < self.width else self.head
        self.width = max(self._widest, *map(text_width, self.head))

    def lines(self, cell: str) -> list[str]:
        """Return a cell as lines of the column's width at most."""
        return wrapped(cell, self.width) if self.field.wraps else [cell]

    def pad(self, text: str) -> str:
        """Return text as wide as the column."""
        blanks = " " * (self.width - text_width(text))
        return blanks + text if self.is_number else text + blanks


@dataclass(frozen=True)
class Arrangement:
    """The columns of each line of a row, and the names of those that are left out."""

    lines: list[list[Column]]
    left_out: list[str]


def arrange(columns: Sequence[Column], width: int) -> Arrangement:
    """Fit columns into a width, and return which of them are shown on which line of a row."""
    kept = list(columns)
    if _total(column.width for column in kept) <= width:
        return Arrangement([kept], [])
    for column in kept:
        column.break_head()
    while _total(column.least for column in kept) > width and any(column.field.rank for column in kept):
        kept.remove(max(kept, key=lambda column: column.field.rank))
    lines = [kept] if _total(column.least for column in kept) <= width else _flow(columns, width)
    for position, line in enumerate(lines):
        _widen(line, width - (INDENT if position else 0))
    shown = [column for line in lines for column in line]
    return Arrangement(lines, [column.field.name for column in columns if column not in shown])


def row_lines(arrangement: Arrangement, cells: Sequence[Sequence[list[str]]]) -> Iterator[list[tuple[Column, str]]]:
    """Yield the lines of one row, each as its columns and their padded texts.

    Args:
        arrangement: the columns.
        cells: for each line of the arrangement and each column of it the lines of the cell.
    """
    for line, texts in zip(arrangement.lines, cells, strict=True):
        for position in range(max(map(len, texts), default=0)):
            yield [
                (column, column.pad(text[position] if position < len(text) else ""))
                for column, text in zip(line, texts, strict=True)
            ]


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def wrapped(text: str, width: int, *, whole: bool = False) -> list[str]:
    """Return a text as lines, broken at blanks; a word that is wider than a line is broken, or left whole."""
    lines = [""]
    for word in text.split(" "):
        pieces = [word] if whole or text_width(word) <= width else list(_pieces(word, width))
        joined = f"{lines[-1]} {pieces[0]}"
        if text_width(joined) <= width and lines[-1]:
            lines[-1] = joined
        elif lines[-1]:
            lines.append(pieces[0])
        else:
            lines[-1] = pieces[0]
        lines += pieces[1:]
    return [line.rstrip() for line in lines]


def _pieces(word: str, width: int) -> Iterator[str]:
    """Yield the parts of a word that is wider than a line, broken after its punctuation where possible."""
    line = ""
    for part in _BREAKS.findall(word):
        if text_width(line + part) <= width:
            line += part
            continue
        if line:
            yield line
        line = ""
        for letter in part:
            if text_width(line + letter) > width:
                yield line
                line = ""
            line += letter
    if line:
        yield line


def _two_lines(name: str) -> list[str]:
    """Return a heading in two lines, broken where both are short."""
    places = [match.start() for match in re.finditer(r"(?<=.)@| |(?<=_)(?=.)", name)]
    broken = [[name[:place], name[place:].removeprefix(" ")] for place in places]
    return min(broken, key=lambda lines: max(map(text_width, lines)), default=[name])


def _flow(columns: Sequence[Column], width: int) -> list[list[Column]]:
    """Return the columns that are always shown on as many lines as they need, and others where there is room."""
    lines: list[list[Column]] = [[]]
    for column in sorted(columns, key=lambda column: column.field.rank):
        room = width - (INDENT if len(lines) > 1 else 0)
        if not lines[-1] or _total(each.least for each in [*lines[-1], column]) <= room:
            lines[-1].append(column)
        elif column.field.rank == 0:
            lines.append([column])
    return lines


def _widen(line: Sequence[Column], width: int) -> None:
    """Give columns of prose their least width, and what is left of the line to those that need more."""
    prose = sorted((column for column in line if column.field.wraps), key=lambda column: column.width)
    needs = {id(column): column.width for column in prose}
    for column in prose:
        column.width = min(column.least, width)
    left = width - _total(column.width for column in line)
    for position, column in enumerate(prose):
        more = min(needs[id(column)] - column.width, max(left, 0) // (len(prose) - position))
        column.width += more
        left -= more


def _total(widths: Iterator[int] | Sequence[int]) -> int:
    known = list(widths)
    return sum(known) + GAP * (len(known) - 1)
