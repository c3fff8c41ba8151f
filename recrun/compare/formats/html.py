"""Write a comparison as a page of HTML that needs nothing else."""

from __future__ import annotations

import html as characters
from collections.abc import Iterator

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import captions
from recrun.compare.formats.sheet import Cell, Sheet, sheets
from recrun.visible import on_one_line

_STYLE = (
    "body{font-family:sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;margin:1em 0}"
    "th,td{padding:.2em .8em;text-align:left}thead{border-bottom:1px solid}.n{text-align:right;"
    "font-variant-numeric:tabular-nums}"
)


def html(*comparisons: Comparison) -> str:
    """Return the tables of comparisons, and below them how they were made; the best values are bold."""
    parts = [part for comparison in comparisons for part in _body(comparison)]
    head = f'<meta charset="utf-8">\n<title>Comparison of runs</title>\n<style>{_STYLE}</style>'
    return "\n".join(["<!doctype html>", '<html lang="en">', head, "<body>", *parts, "</body>", "</html>", ""])


def _body(comparison: Comparison) -> Iterator[str]:
    if comparison.part is not None:
        yield f"<h2>{_escaped(comparison.part.name)}</h2>"
    yield from (_table(sheet) for sheet in sheets(comparison))
    yield from (f"<p>{_escaped(text)}</p>" for text in captions(comparison, "Bold", "†"))
    if comparison.notes:
        yield "\n".join(["<ul>", *(f"<li>{_escaped(note)}</li>" for note in comparison.notes), "</ul>"])


def _table(sheet: Sheet) -> str:
    heads = "".join(_tag("th", cell, _escaped(head)) for head, cell in zip(sheet.heads, sheet.rows[0], strict=True))
    rows = ["<tr>" + "".join(_tag("td", cell, _cell(cell)) for cell in row) + "</tr>" for row in sheet.rows]
    return "\n".join(["<table>", f"<thead><tr>{heads}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"])


def _tag(name: str, cell: Cell, content: str) -> str:
    return f"<{name}{' class=n' if cell.is_number else ''}>{content}</{name}>"


def _cell(cell: Cell) -> str:
    text = f"<b>{_escaped(cell.text)}</b>" if cell.is_best else _escaped(cell.text)
    return " ".join(filter(None, [text, _escaped(cell.more), "†" if cell.is_close else ""]))


def _escaped(text: str) -> str:
    return characters.escape(on_one_line(text))
