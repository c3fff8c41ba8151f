"""Build tables that a click sorts, with their numbers aligned and unrounded values to sort by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recrun.report.html.element import Element, Link, element, shortened

_LONGEST: Final = 160
"""Characters of a cell; longer texts are shortened in their middle."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: what is shown.
        value: the number that it is sorted by; None for a text, or for no number.
        more: what follows, in another type.
        is_best: whether it is the best of its kind, in bold.
        mark: a sign after it.
        is_number: whether it is aligned as numbers are.
        link: where it leads.
        series: the number of the group whose sign is shown before it.
    """

    text: str
    value: float | None = None
    more: str = ""
    is_best: bool = False
    mark: str = ""
    is_number: bool = False
    link: Link | None = None
    series: int | None = None


def numeric(text: str, value: float | None, **more: bool | str) -> Cell:
    """Return a cell of a number; one without a value comes last when sorted."""
    is_known = value is not None and math.isfinite(value)
    return Cell(text, value if is_known else None, is_number=True, **more)  # type: ignore[arg-type]


def table(id: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], most: int, what: str) -> Element:
    """Return a table in a box of its own, which scrolls where the page is narrow.

    Args:
        id: the id of the table.
        caption: what it shows.
        heads: the headings of its columns.
        rows: the cells of its rows; the first of each names it.
        most: how many rows are shown; the caption says how many are not.
        what: what a row is, in the plural.
    """
    left_out = f" The first {most:,} of {len(rows):,} {what} are shown." if len(rows) > most else ""
    is_number = [all(row[place].is_number for row in rows) and bool(rows) for place in range(len(heads))]
    head = [
        element("th", shortened(text, _LONGEST), scope="col", class_="n" if right else None)
        for text, right in zip(heads, is_number, strict=True)
    ]
    body = [element("tr", _cell(row[0], "th"), *(_cell(cell, "td") for cell in row[1:])) for row in rows[:most]]
    inner = element(
        "table",
        element("caption", caption + left_out, id=f"{id}-caption"),
        element("thead", element("tr", *head)),
        element("tbody", *body),
        id=id,
        class_="sortable" if len(rows) > 1 else None,
    )
    return element("div", inner, class_="box", role="region", aria_labelledby=f"{id}-caption", tabindex="0")


def _cell(cell: Cell, name: str) -> Element:
    text: Element | str = shortened(cell.text, _LONGEST)
    if cell.link is not None:
        text = element("a", text, link=cell.link)
    if cell.is_best:
        text = element("b", text)
    more = element("span", f" {cell.more}", class_="more") if cell.more else None
    sign = None if cell.series is None else element("span", str(cell.series + 1), class_=f"key s{cell.series % 8}")
    return element(
        name,
        sign,
        text,
        more,
        f" {cell.mark}" if cell.mark else None,
        scope="row" if name == "th" else None,
        class_="n" if cell.is_number else "wide" if sign or cell.link else None,
        data_value=None if cell.value is None else repr(float(cell.value)),
    )
