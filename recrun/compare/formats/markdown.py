"""Write a comparison as Markdown."""

from __future__ import annotations

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import captions
from recrun.compare.formats.sheet import Cell, Sheet, sheets
from recrun.report.files.text_tables import in_markdown, piped


def markdown(*comparisons: Comparison) -> str:
    """Return the tables of comparisons, and below them how they were made; the best values are bold."""
    return "\n".join(map(_section, comparisons))


def _section(comparison: Comparison) -> str:
    parts = [] if comparison.part is None else [f"## {in_markdown(comparison.part.name)}"]
    parts += [_table(sheet) for sheet in sheets(comparison)]
    parts += map(in_markdown, captions(comparison, "Bold", "†"))
    parts += ["\n".join(f"- {in_markdown(note)}" for note in comparison.notes)] if comparison.notes else []
    return "\n\n".join(parts) + "\n"


def _table(sheet: Sheet) -> str:
    rules = ["---:" if cell.is_number else "---" for cell in sheet.rows[0]]
    return piped([map(in_markdown, sheet.heads), rules, *(map(_cell, row) for row in sheet.rows)])


def _cell(cell: Cell) -> str:
    text = f"**{in_markdown(cell.text)}**" if cell.is_best else in_markdown(cell.text)
    return " ".join(filter(None, [text, in_markdown(cell.more), "†" if cell.is_close else ""]))
