"""Read from a sweep's folder, which may be a stranger's, what the sweep chose, and check it against the runs."""

from __future__ import annotations

import os
import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.registry.user_files import short_name
from recrun.report.terminal.lines import number as number_text
from recrun.runs.folder import RunFolder, finished_record, open_run
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import read_json
from recrun.sweep.points import kinds_of_axes, settings_of_data
from recrun.sweep.row import DONE, FAILED, PRUNED
from recrun.sweep.storage import LEDGER, as_argument
from recrun.sweep.trial_results import is_number

_ENDED: Final = (DONE, FAILED, PRUNED)
"""The statuses of trials that nothing is left to be done of."""
_MOST_POINTS: Final = 10
"""The points of a front that an error names."""


@dataclass(frozen=True)
class Crowned:
    """A trial of the point that was chosen.

    Args:
        index: its number in the sweep.
        overrides: the settings that were given for it.
        run: its run.
        settings: the config of that.
        best_epoch: its best epoch on validation.
        value: the criterion at that epoch.
    """

    index: int
    overrides: Mapping[str, Any]
    run: RunFolder
    settings: Mapping[str, Any]
    best_epoch: int
    value: float


@dataclass(frozen=True)
class Choice:
    """The point that a sweep chose, or that a user chose of it.

    Args:
        folder: the sweep's folder.
        point: the number of the point.
        settings: its settings.
        criterion: the metric by which points were ranked on validation.
        n_points: how many points were compared.
        n_trials: how many trials the sweep has.
        is_asked: whether the user named the point.
        trials: its trials, one for each seed or fold.
    """

    folder: Path
    point: int
    settings: Mapping[str, Any]
    criterion: str
    n_points: int
    n_trials: int
    is_asked: bool
    trials: tuple[Crowned, ...]

    def document(self) -> dict[str, Any]:
        """Return what is recorded of the choice."""
        return {
            "metric": self.criterion,
            "split": "valid",
            "mean": statistics.fmean(trial.value for trial in self.trials),
            "n": len(self.trials),
            "points": self.n_points,
            "trials": self.n_trials,
            "by": "user" if self.is_asked else "rank",
        }


def sweep_folder(path: str | Path) -> Path:
    """Return the folder of a sweep.

    Raises:
        ConfigError: there is none.
    """
    folder = follow_latest(Path(path))
    if not os.path.lexists(folder / LEDGER):
        raise ConfigError(f"there is no sweep in {path}: expected a folder with {LEDGER}, such as runs/sweeps/NAME")
    return folder


def read_choices(folder: Path, point: int | None = None) -> list[Choice]:
    """Return what a sweep chose: the best point, of several data sets one for each.

    Args:
        folder: the sweep's folder.
        point: the number of a point to choose instead.

    Raises:
        ConfigError: the sweep is unfinished, or chose nothing, or there is no such point.
        CheckpointError: it is damaged, or its runs are not what it says.
    """
    study = _Study(folder)
    chosen = list(study.best()) if point is None else [study.asked(point)]
    return [study.choice(each, is_asked=point is not None) for each in chosen]


class _Study:
    """The content of a sweep.json."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / LEDGER
        document = read_json(self._file)
        self._document = document
        self._trials = self._mappings("trials")
        self._points = self._mappings("points")
        for point in self._points:
            members = point.get("trials")
            if not isinstance(point.get("settings"), dict) or not isinstance(members, list) or not members:
                raise self._damage("points with settings and trials")
            if not all(type(each) is int and 0 <= each < len(self._trials) for each in members):
                raise self._damage("points with numbers of trials")
        self._criterion = document.get("which4best")

    def _mappings(self, key: str) -> list[Mapping[str, Any]]:
        found = self._document.get(key)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found) or not found:
            raise self._damage(f"a list of {key}")
        return found

    def _damage(self, expected: str) -> CheckpointError:
        return CheckpointError(f"{self._file} is damaged: expected {expected}")

    def best(self) -> Iterator[int]:
        """Yield the best point, of each value of the axes that change the data.

        Raises:
            ConfigError: trials are still to be trained, or nothing was chosen.
        """
        states = Counter(str(trial.get("status")) for trial in self._trials)
        still = {status: n for status, n in states.items() if status not in _ENDED}
        if self._document.get("status") not in (DONE, FAILED):
            told = ", ".join(f"{n:,} {status}" for status, n in still.items()) or "not all points are drawn"
            raise ConfigError(
                f"the sweep {self.folder} is unfinished ({told}): repeat its command first, or name a point by --point"
            )
        if any(isinstance(trial.get("test"), dict) for trial in self._trials):
            raise ConfigError(
                f"the sweep {self.folder} chooses nothing: its trials differ in seeds or folds alone, and each was "
                "scored on test already"
            )
        criteria = self._document.get("criteria", [])
        if not isinstance(self._criterion, str) or (isinstance(criteria, list) and len(criteria) > 1):
            raise ConfigError(self._front_text(criteria if isinstance(criteria, list) else []))
        groups: dict[str, list[int]] = {}
        for number in range(len(self._points)):
            groups.setdefault(self._data_of(number), []).append(number)
        best = self._document.get("best_point")
        if len(groups) == 1 and type(best) is int and 0 <= best < len(self._points):
            yield best
            return
        sign = -1.0 if smaller_is_better(parse_monitor(self._criterion)) else 1.0
        for members in groups.values():
            known = [(sign * value, -number) for number in members if (value := self._mean(number)) is not None]
            if not known:
                raise ConfigError(f"the sweep {self.folder} chose nothing: no point has all of its trials done")
            yield -max(known)[1]

    def _front_text(self, criteria: Sequence[Any]) -> str:
        """Return why a point must be named, which are on the front, and how one of them is."""
        names = [name for name in criteria if isinstance(name, str)]
        text = f"the sweep {self.folder} has several criteria, and none of its points is the best by all; name one "
        found = self._document.get("front")
        front = [each for each in (found if isinstance(found, list) else []) if self._is_done(each)]
        if not front:
            return f"{text}with --point"
        shown = "; ".join(self._point_text(each, names) for each in front[:_MOST_POINTS])
        more = f"; and {len(front) - _MOST_POINTS} more" if len(front) > _MOST_POINTS else ""
        command = f"recrun final {shlex.quote(as_argument(self.folder))} --point {front[0]}"
        return f"{text}of the front, as by '{command}': {shown}{more}"

    def _is_done(self, point: Any) -> bool:
        """Return whether there is a point with this number, whose trials are all done."""
        is_number = type(point) is int and 0 <= point < len(self._points)
        return is_number and all(self._trials[each].get("status") == DONE for each in self._points[point]["trials"])

    def _point_text(self, number: int, criteria: Sequence[str]) -> str:
        point = self._points[number]
        means = [(name, _value(point.get("mean"), name)) for name in criteria]
        values = ", ".join(f"{short_name(name)} {number_text(value)}" for name, value in means)
        settings = " ".join(f"{key}={value}" for key, value in point["settings"].items())
        return f"point {number} ({settings}: {values})"

    def asked(self, point: int) -> int:
        """Return the point that the user asks for.

        Raises:
            ConfigError: there is no such point, or its trials are not done.
        """
        if not 0 <= point < len(self._points):
            message = (
                f"there is no point {point}; expected 0 to {len(self._points) - 1}, as in 'points' of {self._file}"
            )
            raise ConfigError(Fault(message, key="point"))
        states = {self._trials[each].get("status") for each in self._points[point]["trials"]}
        if states != {DONE}:
            raise ConfigError(Fault(f"not all trials of point {point} are done: repeat the sweep first", key="point"))
        return point

    def choice(self, point: int, *, is_asked: bool) -> Choice:
        """Return a point with its trials, as their runs have them."""
        criterion = self._criterion[0] if isinstance(self._criterion, list) and self._criterion else self._criterion
        if not isinstance(criterion, str):
            raise self._damage("the criterion which4best")
        found = self._points[point]
        return Choice(
            folder=self.folder,
            point=point,
            settings=found["settings"],
            criterion=criterion,
            n_points=len(self._points),
            n_trials=len(self._trials),
            is_asked=is_asked,
            trials=tuple(self._crowned(index, criterion) for index in found["trials"]),
        )

    def _crowned(self, index: int, criterion: str) -> Crowned:
        """Return a trial; what it reached is read from its run, and not believed from the ledger alone."""
        trial, run = self._trials[index], self._run(index)
        finished_record(run)
        result, overrides = read_json(run.metrics_file), trial.get("overrides")
        value, known = (_value(each.get("valid"), criterion) for each in (result, trial))
        epoch = result.get("best_epoch")
        if value is None or value != known or type(epoch) is not int or epoch < 0:
            raise CheckpointError(
                f"{run.path} has {criterion} {value} on valid, and {self._file} says {known} of it; repeat the sweep"
            )
        return Crowned(index, overrides if isinstance(overrides, dict) else {}, run, run.read_settings(), epoch, value)

    def _run(self, index: int) -> RunFolder:
        """Return the run of a trial, which lies beside the folder of sweeps.

        The paths in a ledger are relative to the folder in which the sweep was started.
        """
        recorded = self._trials[index].get("run")
        parts = Path(recorded).parts if isinstance(recorded, str) else ()
        if len(parts) < 3 or ".." in parts:
            raise CheckpointError(f"trial {index} of {self.folder} has no run")
        return open_run(self.folder.resolve().parent.parent.joinpath(*parts[-3:]))

    def _mean(self, point: int) -> float | None:
        """Return the mean of the criterion over the trials of a point, or None if not all are done."""
        trials = [self._trials[each] for each in self._points[point]["trials"]]
        values = [_value(trial.get("valid"), str(self._criterion)) for trial in trials if trial.get("status") == DONE]
        known = [value for value in values if value is not None]
        return statistics.fmean(known) if len(known) == len(trials) else None

    def _data_of(self, point: int) -> str:
        """Return the values of a point's settings that change the data, as text."""
        settings = self._points[point]["settings"]
        _, data = kinds_of_axes(settings, self._settings_of_data)
        return repr([(axis, settings[axis]) for axis in data])

    @cached_property
    def _settings_of_data(self) -> list[str]:
        """The own settings of the data sets of the trials."""
        named = {
            trial["overrides"].get("dataset") for trial in self._trials if isinstance(trial.get("overrides"), dict)
        }
        found = [each for each in named if isinstance(each, str)]
        if not found:
            done = next((index for index, trial in enumerate(self._trials) if trial.get("status") == DONE), None)
            found = [] if done is None else [str(self._run(done).read_settings().get("dataset"))]
        return settings_of_data(sorted(found))


def _value(values: Any, metric: str) -> float | None:
    value: Any = values.get(metric) if isinstance(values, dict) else None
    return float(value) if is_number(value) else None


def epochs_of(trials: Sequence[Crowned]) -> int:
    """Return for how many epochs the chosen point is trained: the median of its best epochs, halves rounded up."""
    return int(statistics.median(trial.best_epoch for trial in trials) + 0.5)
