"""Read the trials of a sweep from its sweep.json, which may come from a stranger."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recrun.compare.groups import settings_of_data
from recrun.config.monitor_names import is_error
from recrun.errors import CheckpointError
from recrun.report.html.scale import number_of
from recrun.runs.records import read_json
from recrun.sweep.points import DATA, REPEATS
from recrun.sweep.storage import LEDGER


@dataclass(frozen=True)
class Trial:
    """A trial.

    Args:
        index: its number.
        overrides: the values of the axes.
        status: pending, running, done, failed or interrupted.
        value: the criterion; None if it has none.
        seconds: how long it took; None if that is not known.
        cause: why it failed; "" if it did not.
    """

    index: int
    overrides: Mapping[str, Any]
    status: str
    value: float | None
    seconds: float | None
    cause: str


@dataclass(frozen=True)
class Point:
    """The finished trials that differ in seeds or folds alone.

    Args:
        choices: the values of the other axes.
        trials: the trials.
        value: the mean of the criterion.
        seconds: the mean of their times; None if one is not known.
    """

    choices: Mapping[str, Any]
    trials: tuple[Trial, ...]
    value: float
    seconds: float | None


@dataclass(frozen=True)
class Sweep:
    """A sweep.

    Args:
        folder: its folder.
        criterion: the metric that its trials are ranked by.
        split: the split of that.
        trials: all its trials.
        axes: what varies, repetitions left out.
        of_data: the axes that change the data; their trials do not compare.
        falls: whether smaller values of the criterion are better.
    """

    folder: str
    criterion: str
    split: str
    trials: tuple[Trial, ...]
    axes: tuple[str, ...]
    of_data: tuple[str, ...]
    falls: bool

    def finished(self) -> list[Trial]:
        """Return the trials that have a value."""
        return [trial for trial in self.trials if trial.value is not None]

    def points(self) -> list[Point]:
        """Return the points that have finished trials, best first."""
        found: dict[str, list[Trial]] = {}
        for trial in self.finished():
            found.setdefault(repr([trial.overrides.get(axis) for axis in self.axes]), []).append(trial)
        points = [self._point(trials) for trials in found.values()]
        return sorted(points, key=lambda point: point.value if self.falls else -point.value)

    def _point(self, trials: Sequence[Trial]) -> Point:
        choices = {axis: trials[0].overrides.get(axis) for axis in self.axes}
        seconds = [trial.seconds for trial in trials if trial.seconds is not None]
        mean = statistics.fmean(seconds) if len(seconds) == len(trials) else None
        value = statistics.fmean(trial.value for trial in trials if trial.value is not None)
        return Point(choices, tuple(trials), value, mean)


def read_sweep(folder: Path, datasets: Iterable[str]) -> Sweep:
    """Return a sweep.

    Args:
        folder: its folder.
        datasets: the data sets of its runs, whose own settings change the data.

    Raises:
        CheckpointError: its sweep.json is damaged.
    """
    file = folder / LEDGER
    document = read_json(file)
    criterion, listed = document.get("which4best"), document.get("trials")
    if not isinstance(criterion, str) or not isinstance(listed, list):
        raise CheckpointError(f"{file} is damaged: expected which4best and a list of trials")
    if not all(isinstance(each, dict) and isinstance(each.get("overrides"), dict) for each in listed):
        raise CheckpointError(f"{file} is damaged: expected trials with overrides")
    # A sweep that chooses nothing is scored on test.
    is_tested = any(isinstance(each.get("test"), dict) for each in listed)
    split = "test" if is_tested else "valid"
    trials = tuple(_trial(index, each, split, criterion) for index, each in enumerate(listed))
    axes = dict.fromkeys(axis for trial in trials for axis in trial.overrides)
    varied = [axis for axis in axes if len({repr(trial.overrides.get(axis)) for trial in trials}) > 1]
    varied = [axis for axis in varied if axis not in REPEATS]
    of_data = [axis for axis in varied if axis in {*DATA, *settings_of_data(datasets)}]
    return Sweep(str(folder), criterion, split, trials, tuple(varied), tuple(of_data), is_error(criterion))


def _trial(index: int, document: Mapping[str, Any], split: str, criterion: str) -> Trial:
    values, cause = document.get(split), document.get("cause")
    value = number_of(values.get(criterion)) if isinstance(values, dict) else None
    return Trial(
        index=index,
        overrides=document["overrides"],
        status=str(document.get("status")),
        value=value if document.get("status") == "done" else None,
        seconds=number_of(document.get("seconds")),
        cause=cause if isinstance(cause, str) else "",
    )
