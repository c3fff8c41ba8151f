"""Write a comparison as Markdown."""

from __future__ import annotations

import re

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import captions
from recrun.compare.formats.sheet import Cell, Sheet, sheets
from recrun.report.files.text_tables import piped
from recrun.visible import on_one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&!])")


def markdown(*comparisons: Comparison) -> str:
    """Return the tables of comparisons, and below them how they were made; the best values are bold."""
    return "\n".join(map(_section, comparisons))


def _section(comparison: Comparison) -> str:
    parts = [] if comparison.part is None else [f"## {escaped(comparison.part.name)}"]
    parts += [_table(sheet) for sheet in sheets(comparison)]
    parts += map(escaped, captions(comparison, "Bold", "†"))
    parts += ["\n".join(f"- {escaped(note)}" for note in comparison.notes)] if comparison.notes else []
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is.

    >>> print(escaped("a|b_c*"))
    a\\|b\\_c\\*
    """
    return _SPECIAL.sub(r"\\\1", on_one_line(text))


def _table(sheet: Sheet) -> str:
    rules = ["---:" if cell.is_number else "---" for cell in sheet.rows[0]]
    return piped([map(escaped, sheet.heads), rules, *(map(_cell, row) for row in sheet.rows)])


def _cell(cell: Cell) -> str:
    text = f"**{escaped(cell.text)}**" if cell.is_best else escaped(cell.text)
    return " ".join(filter(None, [text, escaped(cell.more), "†" if cell.is_close else ""]))
