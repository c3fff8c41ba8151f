"""Show how the loss and validation metrics of runs went, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material, Run
from recrun.compare.report.results import group_legend
from recrun.registry.user_files import short_name
from recrun.report.files.course import Courses
from recrun.report.html.charts import Line, lines
from recrun.report.html.element import Element, element
from recrun.report.html.scale import thinned

_N_METRICS = 2
"""Metrics of validation that are drawn besides the criterion."""
_FEWEST = 12
"""Points that a line has at least, however many lines there are."""


def curves(material: Material, limits: Limits) -> list[Element]:
    """Return a figure of each training loss and of the decisive validation metrics, with a line for each run."""
    runs = [run for run in material.runs if run.series < limits.groups]
    courses = [(run, run.courses) for run in runs]
    drawn: list[tuple[str, str, list[tuple[Run, list[tuple[int, float]]]]]] = []
    for split, metric in _wanted(material, [each for _, each in courses]):
        found = [(run, each.get(split, metric)) for run, each in courses]
        of_runs = [(run, course.points()) for run, course in found if course is not None and course.is_drawn]
        if of_runs:
            drawn.append((split, metric, of_runs))
    n_lines = sum(min(len(found), limits.lines) for _, _, found in drawn)
    if not n_lines:
        return []
    most = max(limits.points // n_lines, _FEWEST)
    figures = [_figure(place, *each, material, limits, most) for place, each in enumerate(drawn, start=1)]
    without = {run.series for run in runs} - {run.series for _, _, found in drawn for run, _ in found}
    text = "Arrow keys move along a line of a figure that has the focus, and from line to line. "
    text += cut(min(limits.groups, len(material.names)), len(material.names), "groups")
    if without:
        named = ", ".join(material.names[series] for series in sorted(without))
        text += f" Without a line, since measured at a single epoch: {named}."
    return [*group_legend(material, limits, "curves"), element("div", *figures, class_="figures"), element("p", text)]


def _wanted(material: Material, courses: Sequence[Courses]) -> list[tuple[str, str]]:
    """Return the split and the metric of each figure."""
    losses = dict.fromkeys(course.metric for each in courses for course in each if course.split == "train")
    criteria = dict.fromkeys(run.entry.which4best for run in material.runs if run.entry.which4best)
    metrics = list(dict.fromkeys([*criteria, *material.comparison.metrics]))[: len(criteria) + _N_METRICS]
    return [*(("train", name) for name in list(losses)[:3]), *(("valid", name) for name in metrics[:4])]


def _figure(
    place: int,
    split: str,
    metric: str,
    found: Sequence[tuple[Run, Sequence[tuple[int, float]]]],
    material: Material,
    limits: Limits,
    most: int,
) -> Element:
    name = short_name(metric)
    drawn, is_thinned = [], False
    for run, points in found[: limits.lines]:
        kept = thinned([(epoch, value) for epoch, value in points if math.isfinite(value)], most)
        is_thinned = is_thinned or len(kept) < len(points)
        several = len(material.of_group(run.series)) > 1
        label = material.names[run.series] + (f", seed {run.seed}" if several else "")
        drawn.append(Line(label, run.series, kept))
    title = f"training {name}" if split == "train" else f"validation {name}"
    note = cut(len(drawn), len(found), "runs")
    if is_thinned:
        note += f" Of long runs, at most {most} points are drawn, peaks among them."
    description = f"{title} over epochs, a line for each of {len(drawn)} runs. The table of runs has the final numbers."
    return lines(f"curve-{place}", title, description, ("epoch", name), drawn, note.strip())
