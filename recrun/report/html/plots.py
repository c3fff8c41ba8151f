"""Draw points over two axes, with their Pareto front, and lines over parallel axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from recrun.report.html.element import Element, element, number
from recrun.report.html.figure import WIDTH, figure, fitting, horizontal_axis, line, sign, text, vertical_axis
from recrun.report.html.scale import Scale, as_text, number_of

N_SHADES: Final = 5
"""Shades that say how good a line is."""
ABSENT: Final = object()
"""The value of a line on an axis on which it has none."""
_FEW: Final = 5
_WIDTH_OF_TICK: Final = 44.0
_HEIGHT_OF_TICK: Final = 14.0


@dataclass(frozen=True)
class Spot:
    """A point of a figure: a number, or a text of an axis of texts, and a value."""

    x: object
    y: float
    series: int
    tip: str


@dataclass(frozen=True)
class Track:
    """A line over parallel axes.

    Args:
        values: its value on each of them, or `ABSENT`; the line is broken there.
        shade: how good it is, from 0 to `N_SHADES` - 1.
        is_best: whether it is the best.
        tip: what hovering over it shows.
    """

    values: Sequence[object]
    shade: int
    is_best: bool
    tip: str


class Axis:
    """An axis of numbers if all its values are numbers, else one of texts.

    Args:
        values: its values.
        start: the coordinate of its beginning.
        end: that of its end.
    """

    def __init__(self, values: Sequence[object], start: float, end: float) -> None:
        numbers = [number_of(value) for value in values]
        known = [each for each in numbers if each is not None]
        self.scale = Scale.of(known, start, end, may_log=True) if known and len(known) == len(numbers) else None
        self._distinct = sorted(set(known))
        self._texts = list(dict.fromkeys(map(str, values)))
        self._start, self._end = start, end

    def __call__(self, value: object) -> float:
        """Return the coordinate of a value."""
        if self.scale is not None:
            return self.scale(number_of(value) or 0.0)
        step = (self._end - self._start) / max(len(self._texts), 1)
        return self._start + step * (self._texts.index(str(value)) + 0.5)

    def ticks(self, room: float) -> list[tuple[float, str]]:
        """Return coordinates and what is written at them.

        Few numbers are written as they are, as a grid has them, in place of round ones between them.

        Args:
            room: the least distance of two numbers.
        """
        if self.scale is not None:
            few = [(self.scale(value), as_text(value)) for value in self._distinct[:_FEW]]
            gaps = [abs(one - other) for (one, _), (other, _) in pairwise(few)]
            is_exact = all(float(label) == value for (_, label), value in zip(few, self._distinct, strict=False))
            return (
                few
                if len(self._distinct) <= _FEW and is_exact and min(gaps, default=room) >= room
                else self.scale.marks()
            )
        return [(self(value), value) for value in self._texts]


def spots(
    id: str,
    title: str,
    description: str,
    names: tuple[str, str],
    drawn: Sequence[Spot],
    front: Sequence[tuple[float, float]] = (),
    note: str = "",
) -> Element:
    """Return points over two axes.

    Args:
        id: the id of the figure.
        title: what it shows.
        description: what can be seen.
        names: the names of the horizontal and the vertical axis.
        drawn: the points.
        front: points that are joined by a line of steps, from left to right.
        note: what follows the title.
    """
    top, bottom, left, right = 34.0, 262.0, 64.0, WIDTH - 16.0
    across = Axis([spot.x for spot in drawn], left + 10, right - 10)
    up = Scale.of((spot.y for spot in drawn), bottom, top)
    found = vertical_axis(up, left, right, names[1])
    if across.scale is not None:
        found += horizontal_axis(across.ticks(_WIDTH_OF_TICK), (left + right) / 2, top, bottom, names[0])
    else:
        ticks = across.ticks(_WIDTH_OF_TICK)
        room = fitting((right - left) / len(ticks))
        found += [text(x, bottom + 16, label, at="middle", class_="tick", longest=room) for x, label in ticks]
        found.append(text((left + right) / 2, bottom + 34, names[0], at="middle", class_="name"))
    if front:
        steps = [f"{number(across(x))} {number(up(y))}" for x, y in front]
        found.append(element("path", d="M" + "L".join(steps), class_="front"))
    found += [sign(across(spot.x), up(spot.y), spot.series, spot.tip) for spot in drawn]
    return figure(id, title, description, 306, found, note=note)


def parallel(id: str, title: str, description: str, axes: Sequence[str], drawn: Sequence[Track], note: str) -> Element:
    """Return a line for each track over parallel axes, the best one above the others.

    Args:
        id: the id of the figure.
        title: what it shows.
        description: what can be seen.
        axes: the names of the axes.
        drawn: the lines, each with a value for every axis.
        note: what follows the title.
    """
    top, bottom, left, right = 34.0, 256.0, 30.0, WIDTH - 70.0
    step = (right - left) / max(len(axes) - 1, 1)
    places = [left + step * position for position in range(len(axes))]
    columns = [[track.values[position] for track in drawn] for position in range(len(axes))]
    scales = [Axis([value for value in column if value is not ABSENT], bottom, top) for column in columns]
    found = []
    for track in sorted(drawn, key=lambda each: (each.is_best, each.shade)):
        path = _path(places, scales, track.values)
        kind = f"track q{track.shade}" + (" best" if track.is_best else "")
        found.append(element("path", element("title", track.tip), d=path, class_=f"mark {kind}"))
    room = max(fitting(step), 6)
    for position, (name, x, scale) in enumerate(zip(axes, places, scales, strict=True)):
        at = "start" if position == 0 else "end" if position == len(axes) - 1 else "middle"
        anchor = x - 24 if position == 0 else x + 66 if position == len(axes) - 1 else x
        found += [line(x, top, x, bottom, "axis"), text(anchor, top - 14, name, at=at, class_="name", longest=room)]
        for y, label in scale.ticks(_HEIGHT_OF_TICK):
            found += [line(x, y, x + 4, y, "axis"), text(x + 7, y + 4, label, class_="tick halo", longest=room)]
    return figure(id, title, description, 272, found, note=note)


def _path(places: Sequence[float], scales: Sequence[Axis], values: Sequence[object]) -> str:
    """Return the path of a line, which is broken at axes on which it has no value; a lone point is a short dash."""
    pieces: list[list[str]] = [[]]
    for x, scale, value in zip(places, scales, values, strict=True):
        if value is ABSENT:
            pieces.append([])
        else:
            pieces[-1].append(f"{number(x)} {number(scale(value))}")
    return "".join("M" + "L".join(piece) + ("h4" if len(piece) == 1 else "") for piece in pieces if piece)


def described(value: object) -> str:
    """Return a value of an axis as a text.

    >>> described(0.001), described(None), described("adam"), described(True)
    ('0.001', 'not set', 'adam', 'true')
    """
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    found = number_of(value)
    return str(value) if found is None else as_text(found)
