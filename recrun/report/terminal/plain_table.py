"""Lay out a table of thousands of rows as plain lines, at once, where rich would take seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from recrun.report.terminal.lines import number

_GAP: Final = "   "


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a table: a head, a rule, and a line for each row; numbers are aligned to the right.

    Args:
        columns: the headers.
        rows: the cells of each row: numbers, text, or None (shown as "-").
    """
    laid_out = [_column(name, [row[place] for row in rows]) for place, name in enumerate(columns)]
    for position, cells in enumerate(zip(*laid_out, strict=True)):
        yield _GAP.join(cells).rstrip()
        if position == 0:
            yield "-" * (sum(map(len, cells)) + len(_GAP) * (len(cells) - 1))


def _column(name: str, values: Sequence[Any]) -> list[str]:
    """Return the head and the cells of a column, padded to one width."""
    texts = [name, *map(number, values)]
    width = max(map(len, texts))
    is_number = all(value is None or isinstance(value, (int, float)) for value in values)
    return [text.rjust(width) if is_number else text.ljust(width) for text in texts]
