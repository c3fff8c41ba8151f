"""Format the output of `recrun compare` for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from recrun.report.terminal.columns import Field
from recrun.report.terminal.console import plain
from recrun.report.terminal.tables import TextTable, table

BEST: Final = "★"
CLOSE: Final = "~"
_STYLE: Final = "bold green"


@dataclass(frozen=True)
class Block:
    """The groups of a comparison by one metric.

    Args:
        title: the metric.
        heads: the headings, each with the rank by which its column is left out where there is no room (0 for never).
        rows: the cells of each row; the first is a mark.
    """

    title: str
    heads: tuple[tuple[str, int], ...]
    rows: tuple[tuple[str, ...], ...]


def block_table(block: Block) -> TextTable:
    """Return the table of a metric, with the best group in bold."""
    fields = [Field(head, rank) for head, rank in block.heads]
    return table(block.title, fields, [_cells(row) for row in block.rows])


def _cells(row: Sequence[str]) -> list[Any]:
    name = plain(row[1], style=_STYLE) if row[0] == BEST else row[1]
    return [row[0], name, *row[2:]]
