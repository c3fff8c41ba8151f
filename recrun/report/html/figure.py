"""Build the parts that all figures share: their frame, axes, signs and legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from recrun.report.html.element import Element, Node, element, number, shortened
from recrun.report.html.scale import Scale

WIDTH: Final = 560
"""Units of the width of a figure; a unit is a pixel where there is room."""
_CHARACTER: Final = 7.3
"""Units of the width of a character, on average."""
_N_COLORS: Final = 8
_SIGNS: Final = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "M-3.6-3.6H3.6V3.6H-3.6Z",
    "M0-4.8L4.6 3.4H-4.6Z",
    "M0-5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6-3.4H-4.6Z",
    "M-5-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z",
    "M-4.6-4.6L4.6 4.6V-4.6L-4.6 4.6Z",
)


def figure(
    id: str, title: str, description: str, height: float, drawing: Iterable[Node], *, kind: str = "", note: str = ""
) -> Element:
    """Return a figure in a box that scrolls where the page is narrow.

    Args:
        id: its id.
        title: what it shows; also its caption.
        description: what can be seen, for those who do not see it.
        height: its height in units.
        drawing: its elements.
        kind: what the script does with it.
        note: what follows the title in the caption.
    """
    drawn = element(
        "svg",
        element("title", title, id=f"{id}-title"),
        element("desc", description, id=f"{id}-desc"),
        *drawing,
        viewBox=f"0 0 {WIDTH} {number(height)}",
        role="img",
        aria_labelledby=f"{id}-title",
        aria_describedby=f"{id}-desc",
        data_kind=kind or None,
    )
    caption = element("figcaption", element("b", title), f" {note}" if note else None)
    box = element("div", drawn, class_="box plot", role="group", aria_label=title, tabindex="0")
    return element("figure", caption, box, id=id)


def text(
    x: float, y: float, content: str, *, at: str = "start", class_: str | None = None, longest: int = 60
) -> Element:
    """Return a text of a figure, shortened where it is long; the whole of it is shown on hovering.

    Args:
        x: where it is.
        y: its base line.
        content: the text.
        at: which part of it is at x: "start", "middle" or "end".
        class_: its class.
        longest: characters that are shown.
    """
    shown = shortened(content, longest)
    whole = [element("title", shortened(content, 300))] if shown != content else []
    anchor = None if at == "start" else at
    return element("text", *whole, shown, x=float(x), y=float(y), text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    """Return a straight line."""
    return element("path", d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}", class_=class_)


def sign(x: float, y: float, series: int, tip: str, *, class_: str = "") -> Element:
    """Return the sign of a group at a point, and the text that hovering over it shows."""
    return element(
        "path",
        element("title", tip),
        d=_SIGNS[series % len(_SIGNS)],
        transform=f"translate({number(x)} {number(y)})",
        class_=f"mark {colored(series)} {class_}".strip(),
        data_series=str(series),
    )


def colored(series: int) -> str:
    """Return the class that colours the elements of a group."""
    return f"s{series % _N_COLORS}"


def dashed(series: int) -> str:
    """Return the class of the dashes of a group's lines; those of the same colour differ in it."""
    return f"d{(series + series // _N_COLORS) % 5}"


def width_of(labels: Iterable[str], most: float = 190) -> float:
    """Return the units that labels take beside a figure."""
    return min(max((len(label) for label in labels), default=0) * _CHARACTER + 8, most)


def fitting(width: float) -> int:
    """Return how many characters fit into a width."""
    return max(int((width - 8) / _CHARACTER), 4)


def vertical_axis(scale: Scale, left: float, right: float, name: str) -> list[Element]:
    """Return a grid of horizontal lines with their values at the left, and the name above them."""
    found = [text(left, scale.end - 10, name, class_="name")]
    for value, label in scale.ticks():
        place = scale(value)
        found += [line(left, place, right, place, "grid"), text(left - 6, place + 4, label, at="end", class_="tick")]
    return found


def horizontal_axis(
    ticks: Iterable[tuple[float, str]], middle: float, top: float, bottom: float, name: str
) -> list[Element]:
    """Return a grid of vertical lines at some coordinates with their values below, and the name below them."""
    found = []
    for place, label in ticks:
        found += [line(place, top, place, bottom, "grid"), text(place, bottom + 16, label, at="middle", class_="tick")]
    return [*found, text(middle, bottom + 34, name, at="middle", class_="name")]


def legend(names: Sequence[str], toggles: str) -> Element:
    """Return the names of the groups with their signs; the script makes them buttons that hide and show.

    Args:
        names: the names, in the order of their series.
        toggles: the id of what the buttons act on.
    """
    entries = []
    for series, name in enumerate(names):
        shape = element(
            "path", d=_SIGNS[series % len(_SIGNS)], transform="translate(17 7)", class_=f"mark {colored(series)}"
        )
        stroke = element("path", d="M0 7H34", class_=f"line {colored(series)} {dashed(series)}")
        drawn = element("svg", stroke, shape, viewBox="0 0 34 14", width=34, height=14, aria_hidden="true")
        entries.append(
            element("li", drawn, element("span", f"{series + 1} {shortened(name, 80)}"), data_toggles=str(series))
        )
    return element("ul", *entries, class_="legend", data_for=toggles)
