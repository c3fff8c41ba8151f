"""Keep the sweep folder: the state of every trial, and the lock that prevents two sweeps at once.

    <runs>/sweeps/<description>-<hash>/
        sweep.json   every trial with its state; rewritten after changes, and at the end
        sweep.csv    the same as a table
        lock         held while the sweep or one of its trials runs
        trials/      <i>.yaml, the config of trial i; <i>.log, what its process printed

The name contains a hash of the trials' configs, so the same command finds the same folder. Which trials are done is
read from their run folders, never from sweep.json.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.files import atomic_write, release, to_json
from recrun.metrics.undefined import reason_in
from recrun.sweep.lock import take_lock
from recrun.sweep.plan import Plan
from recrun.sweep.points import Standing, Values, rank, standing
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PENDING, RUNNING, Row
from recrun.sweep.same_data import DataFiles
from recrun.sweep.storage import LEDGER, SWEEPS, open_folder, writing
from recrun.sweep.trial_results import attempts_in, holds_config, is_number, lacks_only_its_end, read_result, run_folder

SCHEMA: Final = 1
_PAUSE: Final = 20
"""Pauses between savings are this many times as long as a saving takes."""


class Ledger:
    """The state of one sweep, in memory and in its folder.

    Use it as a context manager: entering takes the lock and finds what earlier attempts finished.

    Args:
        plan: the sweep.
        runs: the root of all run folders.

    Raises:
        ConfigError: on entering, the same sweep is already running, or its folder is damaged or cannot be written.
    """

    def __init__(self, plan: Plan, runs: Path) -> None:
        self.plan = plan
        self.runs = runs
        self.folder = runs / SWEEPS / plan.name
        self.rows = [Row(trial, trial.id, run_folder(runs, trial.config, trial.id)) for trial in plan.trials]
        self.notes: list[str] = []
        self._lock: int | None = None
        self._has_begun = self._is_changed = False
        self._next_save = 0.0

    def __enter__(self) -> Ledger:
        open_folder(self.folder, self.trials_folder)
        self._lock = take_lock(self.folder / "lock")
        try:
            self.recover()
            self.save()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            release(self._lock)
            self._lock = None

    @property
    def lock_descriptor(self) -> int:
        """The descriptor of the lock; a process that inherits it also holds the lock."""
        if self._lock is None:
            raise RuntimeError("the ledger is not open")
        return self._lock

    @property
    def trials_folder(self) -> Path:
        """The folder of the trials' configs and logs."""
        return self.folder / "trials"

    def config_path(self, row: Row) -> Path:
        """Return the file that holds a trial's resolved config."""
        return self.trials_folder / f"{row.trial.index}.yaml"

    def log_path(self, row: Row) -> Path:
        """Return the file that collects what a trial's process prints."""
        return self.trials_folder / f"{row.trial.index}.log"

    def recover(self) -> None:
        """Mark the trials that are done, and choose a new run folder for the next attempt of every other trial.

        A trial that was killed after it wrote its final numbers is continued in its folder, to write the rest. One
        whose data files have changed since is trained again.
        """
        files = DataFiles()
        folders = {row.run.path.parent for row in self.rows}
        attempts = {folder: attempts_in(folder) for folder in folders}
        for row in self.rows:
            known = attempts[row.run.path.parent].get(row.trial.id, [])
            changes: list[str] = []
            for attempt in known:
                self._point_at(row, attempt)
                result = read_result(row.run)
                lacks_end = result is None and lacks_only_its_end(row.run)
                if not (result or lacks_end) or not holds_config(row.run, row.trial.config, self.plan.axes):
                    continue
                changes = files.changes(row.run, row.trial.config)
                if changes:
                    continue
                row.was_done, row.lacks_end = not lacks_end, lacks_end
                if result:
                    self._take(row, result)
                break
            else:
                self._point_at(row, known[-1] + 1 if known else 1)
                if changes:
                    self.notes.append(f"trial {row.trial.index} is trained again: {'; '.join(changes)}")

    def _point_at(self, row: Row, attempt: int) -> None:
        row.run_id = row.trial.id if attempt == 1 else f"{row.trial.id}-{attempt}"
        row.run = run_folder(self.runs, row.trial.config, row.run_id)

    def begin(self, row: Row) -> None:
        """Record that a trial's process is about to start, and write its config."""
        with writing(self.folder, has_begun=self._has_begun):
            atomic_write(self.config_path(row), dump_mapping(without_run(row.trial.config)))
        row.status, row.cause, row.exit_code = RUNNING, None, None
        self._change()
        self._has_begun, row.started = True, time.monotonic()

    def end(self, row: Row, status: str, seconds: float | None, exit_code: int | None, cause: str | None) -> None:
        """Record how a trial ended; status `done` without a result in its run folder counts as failed."""
        row.status, row.seconds, row.exit_code, row.cause = status, seconds, exit_code, cause
        if status == DONE:
            result = read_result(row.run)
            if result is None:
                row.status, row.cause = FAILED, f"ended without a result in {row.run.path}"
            else:
                self._take(row, result)
        self._change()

    @property
    def split(self) -> str:
        """The part whose numbers the sweep reports: validation if it chooses, else test."""
        return "test" if self.plan.is_tested else "valid"

    def numbers(self, row: Row) -> Values:
        """Return the metrics of a trial that the sweep reports; none until it is done."""
        return (row.test if self.plan.is_tested else row.valid) or {}

    def standings(self) -> list[Standing]:
        """Return the points with the means of their trials, ranked as `recrun.sweep.points.rank` does."""
        members = [(point, [self.rows[index] for index in point.trials]) for point in self.plan.points]
        found = [standing(point, [self.numbers(row) for row in rows if row.status == DONE]) for point, rows in members]
        return rank(found, self.plan.which4best)

    def ranked(self) -> list[Row]:
        """Return the rows by their points, best first; then the rows that are not done, by status."""
        places = {index: place for place, each in enumerate(self.standings()) for index in each.point.trials}
        order = [DONE, RUNNING, PENDING, INTERRUPTED, FAILED]
        return sorted(self.rows, key=lambda row: (order.index(row.status), places[row.trial.index]))

    @property
    def best_point(self) -> Standing | None:
        """The best point so far; None if nothing is chosen, or if points are of different data."""
        return self._best_of(self.standings())

    def _best_of(self, standings: Sequence[Standing]) -> Standing | None:
        first = standings[0]
        return first if first.point.choices and first.is_complete and self.plan.n_data == 1 else None

    @property
    def best(self) -> int | None:
        """The index of the best trial so far, or None; trials that differ in seeds or folds alone are not ranked."""
        return _only_trial(self.best_point)

    @property
    def status(self) -> str:
        """The status of the sweep as a whole."""
        found = {row.status for row in self.rows}
        return next((status for status in (RUNNING, PENDING, INTERRUPTED, FAILED) if status in found), DONE)

    def document(self) -> dict[str, Any]:
        """Return the content of `sweep.json`."""
        standings = self.standings()
        best = self._best_of(standings)
        return {
            "schema": SCHEMA,
            "sweep": str(self.folder),
            "status": self.status,
            "which4best": self.plan.which4best,
            "best": _only_trial(best),
            "best_point": None if best is None else self.plan.points.index(best.point),
            "axes": {key: list(values) for key, values in self.plan.axes.items()},
            "trials": [
                {
                    "overrides": dict(row.trial.overrides),
                    "status": row.status,
                    "run": _path(row),
                    "valid": None if row.valid is None else dict(row.valid),
                    "test": None if row.test is None else dict(row.test),
                    "cause": row.cause,
                    "best_epoch": row.best_epoch,
                    "seconds": row.seconds,
                    "exit_code": row.exit_code,
                }
                for row in self.rows
            ],
            "points": self._points(standings),
        }

    def _points(self, standings: Sequence[Standing]) -> list[dict[str, Any]]:
        found = {each.point.trials: each for each in standings}
        return [
            {
                "config": self.plan.config_path,
                "settings": {**point.data, **point.choices},
                "trials": list(point.trials),
                "n": found[point.trials].n_done,
                "split": self.split,
                "mean": dict(found[point.trials].mean),
                "sd": dict(found[point.trials].sd),
            }
            for point in self.plan.points
        ]

    def save(self) -> None:
        """Write `sweep.json` and `sweep.csv`, each atomically.

        Raises:
            ConfigError, TrainingError: they cannot be written; see `recrun.sweep.storage.writing`.
        """
        begun = time.monotonic()
        with writing(self.folder, has_begun=self._has_begun):
            atomic_write(self.folder / LEDGER, to_json(self.document(), indent=2) + "\n")
            atomic_write(self.folder / "sweep.csv", self._table())
        now = time.monotonic()
        self._is_changed, self._next_save = False, now + _PAUSE * (now - begun)

    def save_if_due(self) -> None:
        """Save what has changed, unless saving would then take more than a small part of the time.

        The files of a sweep of thousands of trials are large, and every trial changes them twice.
        """
        if self._is_changed and time.monotonic() >= self._next_save:
            self.save()

    def _change(self) -> None:
        self._is_changed = True
        self.save_if_due()

    def _take(self, row: Row, result: Mapping[str, Any]) -> None:
        """Read the result of a finished run into a row; without the numbers that the sweep reports it has failed.

        Metrics other than the criterion may be null, as undefined ones are.
        """
        row.valid = _numbers(result.get("valid"))
        row.test = _numbers(result.get("test")) if self.plan.is_tested else None
        criterion, needed = self.plan.which4best, self.numbers(row)
        if not needed or not (self.plan.is_tested or needed.get(criterion) is not None):
            missing = "test metrics" if self.plan.is_tested else f"value of {criterion} on validation"
            why = reason_in(result, "valid", criterion)
            told = why and not self.plan.is_tested
            row.cause = f"{criterion} is undefined on valid: {why}" if told else f"no {missing} in {row.run.path}"
            row.status, row.valid, row.test = FAILED, None, None
            return
        row.status, row.cause, row.best_epoch = DONE, None, result.get("best_epoch")
        row.exit_code = 0
        # The time recorded by the run, so that a ledger rebuilt from the run folders is the same.
        seconds = result.get("seconds")
        if isinstance(seconds, dict) and is_number(seconds.get("total")):
            row.seconds = seconds["total"]

    def _table(self) -> str:
        metrics = list(dict.fromkeys(name for row in self.rows for name in self.numbers(row)))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        keys = list(self.plan.trials[0].overrides)
        writer.writerow(["trial", *keys, "status", *metrics, "best_epoch", "seconds", "run", "cause"])
        for row in self.rows:
            values = [as_text(row.trial.overrides[key]) for key in keys]
            numbers = [self.numbers(row).get(name) for name in metrics]
            writer.writerow(
                [row.trial.index, *values, row.status, *numbers, row.best_epoch, row.seconds, _path(row), row.cause]
            )
        return text.getvalue()


def _only_trial(best: Standing | None) -> int | None:
    """Return the trial of a point that has no other, or None."""
    return best.point.trials[0] if best is not None and len(best.point.trials) == 1 else None


def _numbers(values: Any) -> dict[str, float | None] | None:
    """Return the metrics of a part, None for what is no number; None if the part was not evaluated."""
    if not isinstance(values, dict):
        return None
    return {name: value if is_number(value) else None for name, value in values.items()}


def _path(row: Row) -> str | None:
    """Return the path of the trial's run folder, or None if it does not exist (yet)."""
    return str(row.run.path) if row.status != PENDING and row.run.path.exists() else None


def as_text(value: Any) -> str:
    """Return a setting's value as table text: strings unchanged, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)
