"""Write a comparison as a page of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from recrun.compare.comparison import Comparison
from recrun.compare.formats.captions import captions
from recrun.compare.formats.sheet import Cell, Sheet, sheets
from recrun.report.html.element import Element, element
from recrun.report.html.page import plain_page


def html(*comparisons: Comparison) -> str:
    """Return the tables of comparisons, and below them how they were made; the best values are bold."""
    return plain_page("Comparison of runs", body(*comparisons))


def body(*comparisons: Comparison) -> list[Element]:
    """Return what such a page holds, to be shown in another."""
    return [part for comparison in comparisons for part in _body(comparison)]


def _body(comparison: Comparison) -> Iterator[Element]:
    if comparison.part is not None:
        yield element("h2", comparison.part.name)
    yield from (_table(sheet) for sheet in sheets(comparison))
    yield from (element("p", text) for text in captions(comparison, "Bold", "†"))
    if comparison.notes:
        yield element("ul", [element("li", note) for note in comparison.notes])


def _table(sheet: Sheet) -> Element:
    heads = [element("th", head, class_=_class(cell)) for head, cell in zip(sheet.heads, sheet.rows[0], strict=True)]
    rows = [element("tr", [_cell(cell) for cell in row]) for row in sheet.rows]
    return element("table", element("thead", element("tr", heads)), element("tbody", rows))


def _cell(cell: Cell) -> Element:
    more = "".join(f" {text}" for text in (cell.more, "†" if cell.is_close else "") if text)
    return element("td", element("b", cell.text) if cell.is_best else cell.text, more, class_=_class(cell))


def _class(cell: Cell) -> str | None:
    return "n" if cell.is_number else None
