"""Show a sweep: its trials over all axes, the criterion along each of them, and how much each matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recrun.compare.formats.figures import Figures
from recrun.compare.report.best_points import best_share, recorded
from recrun.compare.report.forest import by_forest
from recrun.compare.report.last_step import last_step
from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.sweep_trials import Point, Sweep, Trial
from recrun.registry.user_files import short_name
from recrun.report.html.charts import bars
from recrun.report.html.element import Element, element
from recrun.report.html.plots import ABSENT, N_SHADES, Spot, Track, described, parallel, spots
from recrun.report.html.table import Cell, numeric, table
from recrun.report.terminal.lines import counted
from recrun.sweep.importance.crossed import Importance, are_crossed, importance

_MOST_AXES = 12


def sweep_parts(sweep: Sweep, place: int, limits: Limits) -> list[Element]:
    """Return the figures and tables of a sweep.

    Args:
        sweep: the sweep.
        place: its number in the page.
        limits: how much is shown.
    """
    points = sweep.points()
    found: list[Element] = [element("p", _summary(sweep, points))]
    axes = sweep.axes[:_MOST_AXES]
    if sweep.of_data:
        named = ", ".join(sweep.of_data)
        text = (
            f"The trials are of different data ({named}), so that their numbers do not compare; none is marked as best."
        )
        found.append(element("p", text, class_="reason"))
    if len(points) > 1 and axes:
        found.append(_parallel(sweep, points, axes, place, limits))
        found += _importance(sweep, place)
        slices = [
            _slice(sweep, points, axis, f"sweep-{place}-slice-{n}", limits) for n, axis in enumerate(axes, start=1)
        ]
        found += [element("h3", "Slices: the criterion along each axis"), element("div", *slices, class_="figures")]
        left_out = cut(len(axes), len(sweep.axes), "axes")
        found += [element("p", left_out)] if left_out else []
    elif axes:
        found += recorded(sweep, place)
    else:
        found.append(element("p", "Its trials differ in repetitions alone, such as seeds: there are no axes to show."))
    unfinished = [trial for trial in sweep.trials if trial.value is None]
    if unfinished:
        found.append(_unfinished(unfinished, place, limits))
    return [*found, *last_step(sweep.finals, place)]


def _summary(sweep: Sweep, points: Sequence[Point]) -> str:
    counts: dict[str, int] = {}
    for trial in sweep.trials:
        counts[trial.status] = counts.get(trial.status, 0) + 1
    states = ", ".join(f"{n:,} {status}" for status, n in counts.items())
    criterion = f"{short_name(sweep.criterion)} on {'test' if sweep.split == 'test' else 'validation'}"
    text = f"{sweep.folder}: {counted(len(sweep.trials), 'trial')} ({states}), by {criterion}."
    if len(points) > 1 and not sweep.of_data:
        text += f" Best: {_choices(points[0].choices)}, {_form(points).number(points[0].value)}."
    return text


def _form(points: Sequence[Point]) -> Figures:
    return Figures.of_values(point.value for point in points)


def _choices(choices: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis}={described(value)}" for axis, value in choices.items())


def _tip(sweep: Sweep, point: Point, figures: Figures) -> str:
    trials = ", ".join(str(trial.index) for trial in point.trials[:5]) + (" ..." if len(point.trials) > 5 else "")
    of = "trial" if len(point.trials) == 1 else "mean of trials"
    return f"{of} {trials}: {_choices(point.choices)}: {short_name(sweep.criterion)} {figures.number(point.value)}"


def _parallel(sweep: Sweep, points: Sequence[Point], axes: Sequence[str], place: int, limits: Limits) -> Element:
    """Return the points as lines over the axes and the criterion; the better, the stronger."""
    shown = _spread(points, limits.trials)
    name, figures = short_name(sweep.criterion), _form(points)
    tracks = [
        Track(
            values=[*(_value(point, axis) for axis in axes), point.value],
            shade=N_SHADES - 1 - rank * N_SHADES // len(shown),
            is_best=rank == 0 and not sweep.of_data,
            tip=_tip(sweep, point, figures),
        )
        for rank, point in enumerate(shown)
    ]
    note = "Thicker lines are better, in fifths of the points; the dashed line is the best. "
    note += cut(len(shown), len(points), "points, evenly by rank")
    description = f"{len(shown)} points over {len(axes)} axes and {name}. The slices have the same points."
    title = "Parallel coordinates"
    return parallel(f"sweep-{place}-parallel", title, description, [*axes, name], tracks, note.strip())


def _spread(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Return at most so many of ranked points, the best among them and the others evenly by rank.

    The best alone would show which values good points have, but not whether bad ones have them too.
    """
    if len(points) <= most:
        return points
    return [points[len(points) * place // most] for place in range(most)]


def _value(point: Point, axis: str) -> Any:
    return _of_axis(point.choices[axis]) if axis in point.choices else ABSENT


def _of_axis(value: Any) -> Any:
    """Return a value as an axis takes it: a number, or a text."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else described(value)


def _slice(sweep: Sweep, points: Sequence[Point], axis: str, id: str, limits: Limits) -> Element:
    having = [point for point in points if axis in point.choices]
    shown, figures = _spread(having, limits.trials), _form(points)
    drawn = [Spot(_of_axis(point.choices[axis]), point.value, 0, _tip(sweep, point, figures)) for point in shown]
    drawn.sort(key=lambda spot: (isinstance(spot.x, str), spot.x if isinstance(spot.x, str) else 0))
    name = short_name(sweep.criterion)
    description = f"{name} of {len(shown)} points over the values of {axis}."
    lacking = len(points) - len(having)
    notes = [cut(len(shown), len(having), "points, evenly by rank")]
    notes += [f"{counted(lacking, 'point')} without {axis} left out" if lacking else ""]
    return spots(id, axis, description, (axis, name), drawn, note="; ".join(filter(None, notes)))


def _importance(sweep: Sweep, place: int) -> list[Element]:
    """Return how much of the variance each axis explains, or why that is not known."""
    head = element("h3", "Importance of the axes")
    if sweep.of_data:
        return [head, element("p", f"Not computed: {', '.join(sweep.of_data)} changes the data.")]
    points = sweep.points()
    best = [*best_share(sweep, points, place), *recorded(sweep, place)]
    trials = sweep.finished()
    settings = [sweep.choices(trial) for trial in trials]
    found: Importance | str = "the axes are not crossed"
    if are_crossed([point.choices for point in points]):
        found = importance(settings, [trial.value for trial in trials if trial.value is not None])
    if isinstance(found, str):
        return [head, *by_forest(sweep, place, found), *best]
    names = [*(share.axis for share in found.shares), "rest"]
    values = [{0: share.share} for share in found.shares] + [{0: found.rest}]
    name = short_name(sweep.criterion)
    title = f"Share of the variance of {name}"
    description = f"A bar for each of {len(found.shares)} axes, and one for the rest. The table has the numbers."

    def percent(value: float) -> str:
        return f"{value + 0.0:.1%}"

    chart = bars(f"sweep-{place}-importance", title, description, "share", names, values, ["share"], percent)
    rows = [
        [Cell(each.axis), numeric(str(each.n_levels), each.n_levels)]
        + [numeric(percent(value), value) for value in (each.share, each.by_chance)]
        for each in found.shares
    ]
    rows.append([Cell("rest"), numeric("", None), numeric(percent(found.rest), found.rest), numeric("", None)])
    caption = (
        f"Shares of the variance of {name} over {found.n_trials:,} finished trials that a sum of functions of the axes "
        "explains; the rest is due to interactions of axes, seeds and noise. By chance: the share of an axis without "
        "effect, if all were noise."
    )
    heads = ["axis", "levels", "share", "by chance"]
    return [head, chart, table(f"sweep-{place}-shares", caption, heads, rows, len(rows), "axes"), *best]


def _unfinished(trials: Sequence[Trial], place: int, limits: Limits) -> Element:
    rows = [
        [
            Cell(str(trial.index), trial.index, is_number=True),
            Cell(_choices(trial.overrides)),
            Cell(trial.status),
            Cell(trial.cause or "-"),
        ]
        for trial in trials
    ]
    heads = ["trial", "settings", "status", "cause"]
    return table(
        f"sweep-{place}-unfinished", "Trials that were not trained to their end.", heads, rows, limits.rows, "trials"
    )
