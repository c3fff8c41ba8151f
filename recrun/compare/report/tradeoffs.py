"""Show which groups no other group beats in two respects: the Pareto front of a metric and another, or of time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from recrun.compare.formats.figures import Figures
from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material
from recrun.compare.report.results import group_legend
from recrun.config.monitor_names import is_error
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element, element
from recrun.report.html.plots import Spot, spots
from recrun.report.html.scale import number_of
from recrun.sweep.pareto import pareto_front

_Pair = tuple[float, float]


def tradeoffs(material: Material, limits: Limits) -> list[Element]:
    """Return a figure of the first metric over seconds, and one over the first metric of another kind."""
    comparison = material.comparison
    if len(comparison.groups) < 2:
        return []
    metric = comparison.metrics[0]
    falls = is_error(metric)
    values = [group.mean[metric] for group in comparison.groups]
    found = []
    seconds = [_seconds(material, series) for series in range(len(comparison.groups))]
    figure = _figure(
        material, "pareto-time", "seconds of a run", seconds, values, (True, falls), limits, "{:.3g}".format
    )
    found += [figure] if figure else []
    kind = metric.partition("@")[0]
    other = next((name for name in comparison.metrics if name.partition("@")[0] != kind), None)
    if other is not None:
        others = [group.mean[other] for group in comparison.groups]
        form = Figures.of(comparison, other).number
        directions = (is_error(other), falls)
        figure = _figure(material, "pareto-metrics", short_name(other), others, values, directions, limits, form)
        found += [figure] if figure else []
    if not found:
        return []
    text = "The dotted line joins the groups of the Pareto front: no other group is better in one respect and at least "
    text += "as good in the other. Means over seeds; their spread is not taken into account."
    return [*group_legend(material, limits, "tradeoffs"), element("div", *found, class_="figures"), element("p", text)]


def front(points: Sequence[_Pair], x_falls: bool, y_falls: bool) -> list[_Pair]:
    """Return the points that no other one dominates, from left to right.

    Args:
        points: pairs of values.
        x_falls: whether smaller first values are better.
        y_falls: whether smaller second values are better.

    >>> front([(1, 0.2), (2, 0.3), (3, 0.1)], True, False)
    [(1, 0.2), (2, 0.3)]
    """
    return sorted({points[position] for position in pareto_front(points, (x_falls, y_falls))})


def _seconds(material: Material, series: int) -> float | None:
    found = [number_of(run.row["seconds"]) for run in material.of_group(series)]
    return None if None in found else statistics.fmean(each for each in found if each is not None)


def _figure(
    material: Material,
    id: str,
    name: str,
    across: Sequence[float | None],
    up: Sequence[float | None],
    falls: tuple[bool, bool],
    limits: Limits,
    form: Callable[[float], str],
) -> Element | None:
    comparison = material.comparison
    metric = comparison.metrics[0]
    figures, shown_name = Figures.of(comparison, metric), short_name(metric)
    known = [
        (x, y, series) for series, (x, y) in enumerate(zip(across, up, strict=True)) if x is not None and y is not None
    ]
    if len(known) < 2:
        return None
    shown = [each for each in known if each[2] < limits.groups]
    drawn = [
        Spot(x, y, series, f"{material.names[series]}: {name} {form(x)}, {shown_name} {figures.number(y)}")
        for x, y, series in shown
    ]
    joined = front([(x, y) for x, y, _ in shown], *falls)
    left_out = cut(len(shown), len(known), "groups")
    left_out += " The front is that of these." if left_out else ""
    members = [material.names[series] for x, y, series in shown if (x, y) in joined]
    title = f"{shown_name} and {name}"
    description = f"A point for each of {len(drawn)} groups. On the Pareto front: {', '.join(members[:20])}."
    return spots(id, title, description, (name, shown_name), drawn, joined, left_out)
