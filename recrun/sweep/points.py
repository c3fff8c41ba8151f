"""Tell the kinds of axes apart, and compare the points of a sweep by the mean of their trials.

Axes are of three kinds. A *repeat* (another seed, another fold) draws the same experiment again, so its trials are
averaged and never ranked: the best of them would only be the luckiest. An axis that changes the *data* gives numbers of
different validation sets, which do not compare: points are ranked for each value of it separately. Every other axis is
a *choice*, and the points that differ in choices are ranked.

A sweep without a choice selects nothing, so its trials may be scored on test: that is cross-validation.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.errors import RegistryError
from recrun.registry import DATASETS

REPEATS: Final = ("seed", "split_seed", "test_fold")
"""Settings whose values draw the same experiment again."""

DATA: Final = ("dataset", "root")
"""Settings that choose the data; the data set's own settings do so too."""

Values = Mapping[str, float | None]
"""Metrics by name; None for one that is undefined."""


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
        mean: the mean of each metric over these, in float64; None where one of them has no value.
        sd: the sample standard deviation (divided by n - 1), likewise; None for a single trial.
        reached: the epoch up to which its trials were trained, where none was trained to its end.
    """

    point: Point
    n_done: int
    mean: Values
    sd: Values
    reached: int | None = None

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


def settings_of_data(datasets: Iterable[str]) -> list[str]:
    """Return the settings that data sets declare, each once; a data set of a file that is gone has none."""
    found: dict[str, None] = {}
    for dataset in dict.fromkeys(datasets):
        with suppress(RegistryError):
            found |= dict.fromkeys(parameter.name for parameter in DATASETS.describe(dataset).parameters)
    return list(found)


def standing(
    point: Point, results: Sequence[Values], *, n_done: int | None = None, reached: int | None = None
) -> Standing:
    """Return the means and standard deviations of a point.

    Args:
        point: the point.
        results: the metrics of its trials that are done, or of those that were paused.
        n_done: how many are done, if not all of these.
        reached: the epoch up to which they were trained, if not to their end.
    """
    mean, sd = mean_and_sd(results)
    return Standing(point, len(results) if n_done is None else n_done, mean, sd, reached)


def mean_and_sd(results: Sequence[Values]) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the mean and the sample standard deviation (divided by n - 1) of each metric, in float64.

    Both are None for a metric that is undefined in a result or that it lacks; the deviation also for a single result.

    Args:
        results: the metrics of each trial.
    """
    columns = {name: [each.get(name) for each in results] for name in dict.fromkeys(chain.from_iterable(results))}
    known = {name: [value for value in values if value is not None] for name, values in columns.items()}
    is_whole = {name: len(values) == len(results) for name, values in known.items()}
    mean = {name: statistics.fmean(values) if is_whole[name] else None for name, values in known.items()}
    several = len(results) > 1
    sd = {name: statistics.stdev(values) if several and is_whole[name] else None for name, values in known.items()}
    return mean, sd


def interval(standing: Standing) -> dict[str, list[float] | None]:
    """Return a 95 % confidence interval of each mean of a point; see `interval_of`."""
    return interval_of(standing.mean, standing.sd, standing.n_done)


def half_width(standing: Standing, name: str) -> float | None:
    """Return half the width of the interval of a mean of a point; None where it has none."""
    ends = interval(standing).get(name)
    return (ends[1] - ends[0]) / 2 if ends else None


def interval_of(mean: Values, sd: Values, n: int) -> dict[str, list[float] | None]:
    """Return a 95 % confidence interval of each mean, [low, high]; None where there is no standard deviation.

    The interval is mean -+ t * sd / sqrt(n) with the 97.5 % point t of Student's distribution with n - 1 degrees of
    freedom, as for a sample of trials whose values are normally distributed.

    *Source:* Student (1908), "The probable error of a mean", Biometrika 6 (1).

    Args:
        mean: the mean of each metric.
        sd: its sample standard deviation.
        n: how many trials they are of.
    """
    if n < 2:
        return dict.fromkeys(mean)
    # Imported here, because it takes a tenth of a second, and most sweeps have one trial for each point.
    from scipy.special import stdtrit

    width = float(stdtrit(n - 1, 0.975)) / math.sqrt(n)
    found: dict[str, list[float] | None] = {}
    for name, centre in mean.items():
        spread = sd.get(name)
        found[name] = None if centre is None or spread is None else [centre - width * spread, centre + width * spread]
    return found


def rank(standings: Iterable[Standing], criterion: str) -> list[Standing]:
    """Return points best first, for each value of the data axes separately; incomplete points come last.

    A mean over fewer folds or seeds does not compare with one over all, so only complete points are ranked. Of those
    that were paused or pruned, the one that was trained furthest comes first.

    Args:
        standings: the points.
        criterion: the metric whose mean decides.
    """
    sign = 1.0 if smaller_is_better(parse_monitor(criterion)) else -1.0
    found = list(standings)
    groups: dict[str, int] = {}
    for each in found:
        groups.setdefault(repr(each.point.data), len(groups))

    def key(each: Standing) -> tuple[int, bool, int, bool, float, int]:
        is_measured = each.is_complete or each.reached is not None
        value = each.mean.get(criterion) if is_measured else None
        reached = -1 if each.is_complete or each.reached is None else each.reached
        place = (value is None, sign * (value or 0.0), each.point.trials[0])
        return (groups[repr(each.point.data)], not each.is_complete, -reached, *place)

    return sorted(found, key=key)
