"""Find how much each setting of a sweep matters and what its best points share, by the method that fits its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from recrun.sweep.row import DONE, PAUSED, PRUNED
from recrun.sweep.schedules.schedule import Step
from recrun.sweep.step_results import result_of

if TYPE_CHECKING:
    from recrun.sweep.importance.best_share import BestQuarter, Shared
    from recrun.sweep.importance.crossed import Importance
    from recrun.sweep.importance.forest import ForestImportance
    from recrun.sweep.points import Standing
    from recrun.sweep.state import State

LEAST_POINTS: Final = 10


Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """The points of a sweep with the values by which they are comparable.

    Args:
        settings: those of each point; a point may lack some.
        values: the criterion of each: the mean over its trials.
        trials: the settings and the value of each trial of these.
        epoch: the epoch up to which trials count, where some were not trained to their end; else None.
    """

    settings: tuple[Settings, ...]
    values: tuple[float, ...]
    trials: tuple[tuple[Settings, float], ...]
    epoch: int | None = None


def findings(state: State) -> dict[str, Any] | None:
    """Return what `sweep.json` says of the importance of settings, or None of a sweep that compares nothing.

    Args:
        state: the sweep, ended.
    """
    plan = state.plan
    if not any(point.choices for point in plan.points):
        return None
    head: dict[str, Any] = {"metric": plan.which4best, "split": state.split}
    if plan.n_data > 1:
        return {**head, "reason": f"{' and '.join(plan.points[0].data)} changes the data, and points do not compare"}
    measured = measured_points(state)
    n = len(measured.values)
    head |= {"points": n, **({} if measured.epoch is None else {"epoch": measured.epoch})}
    if n < LEAST_POINTS:
        return {**head, "reason": f"{n} points are too few; {LEAST_POINTS} are needed"}
    # Imported here: they need numpy, which most sweeps are ready without.
    from recrun.sweep.importance.best_share import what_best_share

    found = weights_of(measured)
    if isinstance(found, str):
        return {**head, "reason": found}
    best = what_best_share(measured.settings, measured.values, falls=plan.smaller_is_better[0])
    return {**head, **_weights(found), **({} if isinstance(best, str) else {"best": _best(best)})}


def weights_of(measured: Measured) -> Importance | ForestImportance | str:
    """Return the shares of settings in the variance where points are crossed, else their weights in a forest.

    Args:
        measured: the points.

    Returns:
        These, or why there are none, without a full stop.
    """
    from recrun.sweep.importance.crossed import are_crossed, importance
    from recrun.sweep.importance.forest import forest_importance

    if are_crossed(measured.settings):
        settings, values = zip(*measured.trials, strict=True)
        found = importance(settings, values)
        if not isinstance(found, str):
            return found
    return forest_importance(measured.settings, measured.values)


def measured_points(state: State) -> Measured:
    """Return the points that have values, with means that are comparable.

    Where some were paused or pruned, the values of all are those that they had reached by the earliest such epoch: a
    point that was trained longer would be better for that alone.
    """
    standings = sorted(state.standings(), key=lambda each: each.point.trials[0])
    epoch = min((each.reached for each in standings if each.reached is not None), default=None)
    settings: list[Settings] = []
    means: list[float] = []
    trials: list[tuple[Settings, float]] = []
    for each in standings:
        values = list(_values(state, each, epoch))
        if values:
            settings.append(each.point.choices)
            means.append(fmean(values))
            trials += [(each.point.choices, value) for value in values]
    return Measured(tuple(settings), tuple(means), tuple(trials), epoch)


def _values(state: State, standing: Standing, epoch: int | None) -> Iterator[float]:
    """Yield the values of the trials of a point; up to an epoch, the best that each had reached by then."""
    name, sign = state.plan.which4best, state.plan.sign
    for row in map(state.row, standing.point.trials):
        value = state.numbers(row).get(name) if row.status == DONE else None
        if epoch is not None and row.status in (DONE, PAUSED, PRUNED):
            result = result_of(row.run, name, sign, Step(0, until=epoch))
            value = None if result is None or result.value is None else sign * result.value
        if value is not None:
            yield value


def _weights(found: Importance | ForestImportance) -> dict[str, Any]:
    from recrun.sweep.importance.forest import ForestImportance

    if isinstance(found, ForestImportance):
        settings = [
            {"setting": each.setting, "values": each.n_values, "importance": each.increase, "sd": each.sd}
            for each in found.weights
        ]
        return {"method": "forest", "r2": found.r2, "settings": settings}
    settings = [
        {"setting": each.axis, "values": each.n_levels, "importance": each.share, "by_chance": each.by_chance}
        for each in found.shares
    ]
    return {"method": "variance", "rest": found.rest, "settings": settings}


def _best(found: BestQuarter) -> dict[str, Any]:
    return {"points": found.n_best, "settings": {each.setting: _shared(each) for each in found.settings}}


def _shared(found: Shared) -> dict[str, Any]:
    """Return the least, the middle and the largest number among the best and all, or how many have each value."""
    if found.all is None:
        return {"counts": [[value, in_best, in_all] for value, in_best, in_all in found.counts]}
    best = None if found.best is None else [found.best.low, found.best.median, found.best.high]
    return {"best": best, "all": [found.all.low, found.all.median, found.all.high]}
