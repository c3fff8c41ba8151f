"""Lay out what objects show in a notebook. Texts are escaped by `recrun.report.html.element`, whatever they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from recrun.report.html.element import Element, element, render, shortened

_LONGEST = 80
"""Characters of a cell."""


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], best: int | None = None) -> Element:
    """Return a table.

    Args:
        heads: the headings of its columns.
        rows: the cells of its rows.
        best: the position of a row that is in bold.
    """
    head = element("tr", *(element("th", shortened(text, _LONGEST)) for text in heads))
    body = []
    for position, row in enumerate(rows):
        cells = (shortened(text, _LONGEST) for text in row)
        body.append(element("tr", *(element("td", element("b", text) if position == best else text) for text in cells)))
    return element("table", element("thead", head), element("tbody", *body))


def lines(labelled: Iterable[tuple[str, str]]) -> Element:
    """Return labelled facts, one on each line."""
    parts: list[Element | str] = []
    for label, text in labelled:
        parts += [element("b", label), f" {shortened(text, 300)}", element("br")]
    return element("p", *parts[:-1])


def markup(*parts: Element) -> str:
    """Return elements as the HTML of one output."""
    return render(element("div", *parts))


def near(path: str | Path) -> str:
    """Return a path as it is shown: relative if it lies in the working folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith(os.pardir) else relative
