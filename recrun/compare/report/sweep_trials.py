"""Read the trials of a sweep from its sweep.json, which may come from a stranger."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recrun.config.monitor_names import is_error
from recrun.errors import CheckpointError
from recrun.registry.user_files import short_name
from recrun.report.html.scale import number_of
from recrun.report.terminal.lines import number as shown
from recrun.runs.records import read_json
from recrun.sweep.final.record import read_final
from recrun.sweep.points import REPEATS, kinds_of_axes, settings_of_data
from recrun.sweep.row import DONE, PAUSED, PRUNED
from recrun.sweep.storage import LEDGER


@dataclass(frozen=True)
class Trial:
    """A trial.

    Args:
        index: its number.
        overrides: the values of the axes.
        status: pending, running, done, failed, interrupted, paused or pruned.
        value: the criterion; None if it was not trained to its end.
        seconds: how long it took; None if that is not known.
        cause: why it failed, or how far it came if it was paused or pruned; "" of others.
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
        choices: the values of the other axes; one that depends on another may be absent.
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
        importance: what it has recorded of the importance of its settings, unchecked.
        finals: its last steps, as of `recrun.sweep.final.record.read_final`.
    """

    folder: str
    criterion: str
    split: str
    trials: tuple[Trial, ...]
    axes: tuple[str, ...]
    of_data: tuple[str, ...]
    falls: bool
    finals: tuple[Mapping[str, Any], ...] = ()
    importance: Mapping[str, Any] = field(default_factory=dict)

    def finished(self) -> list[Trial]:
        """Return the trials that have a value."""
        return [trial for trial in self.trials if trial.value is not None]

    def points(self) -> list[Point]:
        """Return the points that have finished trials, best first."""
        found: dict[str, list[Trial]] = {}
        for trial in self.finished():
            found.setdefault(repr(self.choices(trial)), []).append(trial)
        points = [self._point(trials) for trials in found.values()]
        return sorted(points, key=lambda point: point.value if self.falls else -point.value)

    def choices(self, trial: Trial) -> dict[str, Any]:
        """Return the values of a trial on the axes that it has."""
        return {axis: trial.overrides[axis] for axis in self.axes if axis in trial.overrides}

    def _point(self, trials: Sequence[Trial]) -> Point:
        seconds = [trial.seconds for trial in trials if trial.seconds is not None]
        mean = statistics.fmean(seconds) if len(seconds) == len(trials) else None
        value = statistics.fmean(trial.value for trial in trials if trial.value is not None)
        return Point(self.choices(trials[0]), tuple(trials), value, mean)


def read_sweep(folder: Path, datasets: Iterable[str]) -> Sweep:
    """Return a sweep.

    Args:
        folder: its folder.
        datasets: the data sets of its runs, whose own settings change the data.

    Raises:
        CheckpointError: its sweep.json or final.json is damaged.
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
    has_several = len({repr(each.get("config")) for each in listed}) > 1
    trials = tuple(_trial(place, each, split, criterion, has_several=has_several) for place, each in enumerate(listed))
    axes = dict.fromkeys(axis for trial in trials for axis in trial.overrides)
    varied = [axis for axis in axes if len({repr(trial.overrides.get(axis, ...)) for trial in trials}) > 1]
    varied = [axis for axis in varied if axis not in REPEATS]
    _, of_data = kinds_of_axes(varied, settings_of_data(datasets))
    finals = tuple(read_final(folder).get("finals", ()))
    recorded = document.get("importance")
    return Sweep(
        folder=str(folder),
        criterion=criterion,
        split=split,
        trials=trials,
        axes=tuple(varied),
        of_data=of_data,
        falls=is_error(criterion),
        finals=finals,
        importance=recorded if isinstance(recorded, dict) else {},
    )


def _trial(place: int, document: Mapping[str, Any], split: str, criterion: str, *, has_several: bool) -> Trial:
    """Return a trial of a sweep, with its config as an axis where there are several."""
    values, cause, number = document.get(split), document.get("cause"), document.get("trial")
    value = number_of(values.get(criterion)) if isinstance(values, dict) else None
    status, reached = str(document.get("status")), document.get("reached")
    text = cause if isinstance(cause, str) else ""
    if type(reached) is int and status in (PAUSED, PRUNED):
        known = "" if value is None else f", with {short_name(criterion)} {shown(value)}"
        text = f"trained to epoch {reached}{known}"
    config = {"config": str(document.get("config"))} if has_several else {}
    return Trial(
        index=number if type(number) is int else place,
        overrides={**config, **document["overrides"]},
        status=status,
        value=value if status == DONE else None,
        seconds=number_of(document.get("seconds")),
        cause=text,
    )
