"""Draw lines over epochs, bars of groups, and differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from recrun.report.html.element import Element, element, number
from recrun.report.html.figure import (
    WIDTH,
    colored,
    dashed,
    figure,
    fitting,
    horizontal_axis,
    line,
    sign,
    text,
    vertical_axis,
    width_of,
)
from recrun.report.html.scale import Scale, as_text

Format = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """A line of a figure.

    Args:
        label: what it shows.
        series: the number of its group.
        points: pairs of a position and a value, ascending; a value that is not finite leaves a gap.
    """

    label: str
    series: int
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Difference:
    """A difference with its interval; None for ends that are not known."""

    label: str
    series: int
    value: float
    low: float | None
    high: float | None


def lines(id: str, title: str, description: str, names: tuple[str, str], drawn: Sequence[Line], note: str) -> Element:
    """Return lines over a common axis.

    Args:
        id: the id of the figure.
        title: what it shows.
        description: what can be seen.
        names: the names of the horizontal and the vertical axis.
        drawn: the lines.
        note: what follows the title.
    """
    top, bottom, left = 34.0, 262.0, 60.0
    points = [point for each in drawn for point in each.points if math.isfinite(point[1])]
    across = Scale.of((x for x, _ in points), left, WIDTH - 12)
    across = Scale(max(across.low, 0), across.high, left, WIDTH - 12) if points else across
    up = Scale.of((y for _, y in points), bottom, top)
    axes = [
        *vertical_axis(up, left, WIDTH - 12, names[1]),
        *horizontal_axis(across.marks(), (left + WIDTH) / 2, top, bottom, names[0]),
    ]
    paths = [_path(each, across, up) for each in drawn]
    return figure(id, title, description, 306, [*axes, *paths], kind="lines", note=note)


def _path(drawn: Line, across: Scale, up: Scale) -> Element:
    steps, values, is_open = [], [], False
    for x, y in drawn.points:
        if not math.isfinite(y):
            is_open = False
            continue
        steps.append(f"{'L' if is_open else 'M'}{number(across(x))} {number(up(y))}")
        values.append(f"{as_text(x)}:{y:.5g}")
        is_open = True
    return element(
        "path",
        element("title", drawn.label),
        d="".join(steps) or None,
        class_=f"line {colored(drawn.series)} {dashed(drawn.series)}",
        data_series=str(drawn.series),
        data_values=" ".join(values),
    )


def bars(
    id: str,
    title: str,
    description: str,
    name: str,
    categories: Sequence[str],
    values: Sequence[Mapping[int, float | None]],
    labels: Sequence[str],
    form: Format,
) -> Element:
    """Return bars, those of each category together, with their values.

    Args:
        id: the id of the figure.
        title: what it shows.
        description: what can be seen.
        name: the name of the axis.
        categories: what stands at the left.
        values: for each category, the values of series by their numbers; None for one that is undefined.
        labels: the names of the series.
        form: how a value is written.
    """
    thick, gap, top = 15.0, 12.0, 8.0
    left = width_of(categories) + 6
    known = [value for row in values for value in row.values() if value is not None]
    across = Scale.of(known, left, WIDTH - 84, has_zero=True)
    found: list[Element] = []
    y = top
    for category, row in zip(categories, values, strict=True):
        middle = y + thick * len(row) / 2 + 4
        found.append(text(left - 8, middle, category, at="end", longest=fitting(left)))
        for series, value in row.items():
            found += _bar(series, value, y, across, thick, f"{labels[series]}, {category}: ", form, len(labels) > 1)
            y += thick
        y += gap
    axis = horizontal_axis(across.marks(), (left + WIDTH) / 2, top, y, name)
    return figure(id, title, description, y + 42, [*axis, line(across(0), top, across(0), y, "zero"), *found])


def _bar(
    series: int, value: float | None, y: float, across: Scale, thick: float, label: str, form: Format, is_keyed: bool
) -> list[Element]:
    shown = "undefined" if value is None else form(value)
    key = f"{series + 1}: {shown}" if is_keyed else shown
    if value is None:
        return [_value(across(0) + 4, y + thick - 3, key, series)]
    start, end = sorted((across(0), across(value)))
    drawn = element(
        "path",
        element("title", label + shown),
        d=f"M{number(start)} {number(y + 1)}H{number(end)}V{number(y + thick - 1)}H{number(start)}Z",
        class_=f"mark bar {colored(series)}",
        data_series=str(series),
    )
    return [drawn, _value(end + 4, y + thick - 3, key, series)]


def _value(x: float, y: float, content: str, series: int) -> Element:
    return element("text", content, x=x, y=y, class_="value", data_series=str(series))


def differences(
    id: str, title: str, description: str, name: str, rows: Sequence[Difference], form: Format, note: str
) -> Element:
    """Return a row for each difference: its value, its interval, and the line of no difference."""
    high, top = 26.0, 8.0
    left = width_of(row.label for row in rows) + 6
    ends = [end for row in rows for end in (row.value, row.low, row.high) if end is not None]
    across = Scale.of(ends, left, WIDTH - 16, has_zero=True)
    margin = (across.high - across.low) * 0.04
    across = Scale(across.low - margin, across.high + margin, left, WIDTH - 16)
    bottom = top + high * len(rows)
    found: list[Element] = []
    for place, row in enumerate(rows):
        y = top + high * (place + 0.5)
        interval = "" if row.low is None or row.high is None else f" [{form(row.low)}, {form(row.high)}]"
        found.append(text(left - 8, y + 4, row.label, at="end", longest=fitting(left)))
        if row.low is not None and row.high is not None:
            found.append(line(across(row.low), y, across(row.high), y, f"line whisker {colored(row.series)}"))
        found.append(sign(across(row.value), y, row.series, f"{row.label}: {form(row.value)}{interval}"))
    zero = line(across(0), top, across(0), bottom, "zero")
    axis = horizontal_axis(across.marks(), (left + WIDTH) / 2, top, bottom, name)
    return figure(id, title, description, bottom + 42, [*axis, zero, *found], note=note)
