"""Group a sweep's trials into points, and compare points by the mean of their trials.

Axes are of three kinds. A *repeat* (another seed, another fold) draws the same experiment again, so its trials are
averaged and never ranked: the best of them would only be the luckiest. An axis that changes the *data* gives numbers of
different validation sets, which do not compare: points are ranked for each value of it separately. Every other axis is
a *choice*, and the points that differ in choices are ranked.

A sweep without a choice selects nothing, so its trials may be scored on test: that is cross-validation.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better

REPEATS: Final = ("seed", "split_seed", "test_fold")
"""Settings whose values draw the same experiment again."""

DATA: Final = ("dataset", "root")
"""Settings that choose the data; the data set's own settings do so too."""

Values = Mapping[str, float]


@dataclass(frozen=True)
class Point:
    """The trials that differ in repeats alone.

    Args:
        choices: their values on the axes that are compared.
        data: their values on the axes that change the data, other than repeats.
        trials: their indices.
    """

    choices: Mapping[str, Any]
    data: Mapping[str, Any]
    trials: tuple[int, ...]


@dataclass(frozen=True)
class Standing:
    """What the trials of a point reached.

    Args:
        point: the point.
        n_done: how many of its trials are done.
        mean: the mean of each metric over these, in float64; of metrics that every one of them has.
        sd: the sample standard deviation (divided by n - 1); empty for a single trial.
    """

    point: Point
    n_done: int
    mean: Values
    sd: Values

    @property
    def is_complete(self) -> bool:
        """Whether all trials of the point are done."""
        return self.n_done == len(self.point.trials)


def kinds_of_axes(axes: Iterable[str], data_settings: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the axes that are choices, and those that change the data other than as repeats.

    Args:
        axes: the settings that vary.
        data_settings: the data set's own settings.

    >>> kinds_of_axes(["lr", "seed", "test_fold", "split"], ["split", "test_fold"])
    (('lr',), ('split',))
    """
    varied = [axis for axis in axes if axis not in REPEATS]
    changing = {*DATA, *data_settings}
    return tuple(axis for axis in varied if axis not in changing), tuple(axis for axis in varied if axis in changing)


def group(trials: Iterable[tuple[int, Mapping[str, Any]]], choices: Sequence[str], data: Sequence[str]) -> list[Point]:
    """Return the points of a grid, in the order of their first trials.

    Args:
        trials: the index and the values of each trial.
        choices: the axes that are compared.
        data: the axes that change the data.
    """
    members: dict[str, tuple[Mapping[str, Any], list[int]]] = {}
    for index, values in trials:
        members.setdefault(repr([values[axis] for axis in (*data, *choices)]), (values, []))[1].append(index)
    return [
        Point({axis: values[axis] for axis in choices}, {axis: values[axis] for axis in data}, tuple(indices))
        for values, indices in members.values()
    ]


def standing(point: Point, results: Sequence[Values]) -> Standing:
    """Return the means and standard deviations of a point.

    Args:
        point: the point.
        results: the metrics of its trials that are done.
    """
    shared = [name for name in results[0] if all(name in each for each in results)] if results else []
    columns = {name: [each[name] for each in results] for name in shared}
    mean = {name: statistics.fmean(values) for name, values in columns.items()}
    sd = {name: statistics.stdev(values) for name, values in columns.items()} if len(results) > 1 else {}
    return Standing(point, len(results), mean, sd)


def rank(standings: Iterable[Standing], criterion: str) -> list[Standing]:
    """Return points best first, for each value of the data axes separately; incomplete points come last.

    A mean over fewer folds or seeds does not compare with one over all, so only complete points are ranked.

    Args:
        standings: the points.
        criterion: the metric whose mean decides.
    """
    sign = 1.0 if smaller_is_better(parse_monitor(criterion)) else -1.0
    found = list(standings)
    groups = list(dict.fromkeys(repr(each.point.data) for each in found))

    def key(each: Standing) -> tuple[int, bool, float, int]:
        is_ranked = each.is_complete and criterion in each.mean
        value = sign * each.mean[criterion] if is_ranked else 0.0
        return (groups.index(repr(each.point.data)), not is_ranked, value, each.point.trials[0])

    return sorted(found, key=key)
