"""Keep the sweep folder: the state of every trial, and the lock that prevents two sweeps at once.

    <runs>/sweeps/<description>-<hash>/
        sweep.json   every trial with its state; rewritten after each change
        sweep.csv    the same as a table
        lock         held while the sweep or one of its trials runs
        trials/      <i>.yaml, the config of trial i; <i>.log, what its process printed

The name contains a hash of the trials' configs, so the same command finds the same folder. Which trials are done is
read from their run folders, never from sweep.json.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.config.same_settings import without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import ConfigError
from recrun.files import HeldError, atomic_write, release, take, to_json
from recrun.metrics.undefined import reason_in
from recrun.runs.folder import RunFolder
from recrun.sweep.plan import Plan, Trial
from recrun.sweep.processes import is_alive
from recrun.sweep.trial_results import holds_config, is_number, read_result, run_folder

SCHEMA: Final = 1
PENDING, RUNNING, DONE, FAILED, INTERRUPTED = "pending", "running", "done", "failed", "interrupted"


@dataclass
class Row:
    """The state of one trial.

    Args:
        trial: the point of the grid.
        run_id: the name of the run folder of the current attempt.
        run: that folder.
        status: pending, running, done, failed or interrupted.
        was_done: whether it was finished by an earlier invocation.
        valid: the validation metrics at the best epoch, once done; None for undefined ones.
        best_epoch: that epoch.
        cause: why it failed or was interrupted.
        exit_code: of its process; -N for one that signal N killed.
        seconds: how long it took: as recorded by the run once it is done, else wall time.
        started: when it started, on the monotonic clock.
    """

    trial: Trial
    run_id: str
    run: RunFolder
    status: str = PENDING
    was_done: bool = False
    valid: Mapping[str, float | None] | None = None
    best_epoch: int | None = None
    cause: str | None = None
    exit_code: int | None = None
    seconds: float | None = None
    started: float | None = None


class Ledger:
    """The state of one sweep, in memory and in its folder.

    Use it as a context manager: entering takes the lock and finds what earlier attempts finished.

    Args:
        plan: the sweep.
        runs: the root of all run folders.

    Raises:
        ConfigError: on entering, the same sweep is already running, or its lock file cannot be written.
    """

    def __init__(self, plan: Plan, runs: Path) -> None:
        self.plan = plan
        self.runs = runs
        self.folder = runs / "sweeps" / plan.name
        self.rows = [Row(trial, trial.id, run_folder(runs, trial.config, trial.id)) for trial in plan.trials]
        self._lock: int | None = None

    def __enter__(self) -> Ledger:
        self.trials_folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder / "lock")
        self.recover()
        self.save()
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
        """Mark the trials that are done, and choose a new run folder for the next attempt of every other trial."""
        for row in self.rows:
            attempt = 1
            while row.run.path.exists():
                result = read_result(row.run)
                if result is not None and holds_config(row.run, row.trial.config, self.plan.axes):
                    self._take(row, result)
                    row.was_done = True
                    break
                attempt += 1
                row.run_id = f"{row.trial.id}-{attempt}"
                row.run = run_folder(self.runs, row.trial.config, row.run_id)

    def begin(self, row: Row) -> None:
        """Record that a trial's process is about to start, and write its config."""
        atomic_write(self.config_path(row), dump_mapping(without_run(row.trial.config)))
        row.status, row.cause, row.exit_code = RUNNING, None, None
        row.started = time.monotonic()
        self.save()

    def end(self, row: Row, status: str, seconds: float | None, exit_code: int | None, cause: str | None) -> None:
        """Record how a trial ended; status `done` without a result in its run folder counts as failed."""
        row.status, row.seconds, row.exit_code, row.cause = status, seconds, exit_code, cause
        if status == DONE:
            result = read_result(row.run)
            if result is None:
                row.status, row.cause = FAILED, f"ended without a result in {row.run.path}"
            else:
                self._take(row, result)
        self.save()

    def ranked(self) -> list[Row]:
        """Return the rows, best first by the criterion on validation; then the rows that are not done, by status."""
        criterion = self.plan.which4best
        sign = 1.0 if smaller_is_better(parse_monitor(criterion)) else -1.0

        def key(row: Row) -> tuple[int, float, int]:
            value = (row.valid or {}).get(criterion)
            order = [DONE, RUNNING, PENDING, INTERRUPTED, FAILED].index(row.status)
            return (order, sign * value if value is not None else 0.0, row.trial.index)

        return sorted(self.rows, key=key)

    @property
    def best(self) -> int | None:
        """The index of the best trial so far, or None."""
        first = self.ranked()[0]
        return first.trial.index if first.status == DONE else None

    @property
    def status(self) -> str:
        """The status of the sweep as a whole."""
        found = {row.status for row in self.rows}
        return next((status for status in (RUNNING, PENDING, INTERRUPTED, FAILED) if status in found), DONE)

    def document(self) -> dict[str, Any]:
        """Return the content of `sweep.json`."""
        return {
            "schema": SCHEMA,
            "sweep": str(self.folder),
            "status": self.status,
            "which4best": self.plan.which4best,
            "best": self.best,
            "axes": {key: list(values) for key, values in self.plan.axes.items()},
            "trials": [
                {
                    "overrides": dict(row.trial.overrides),
                    "status": row.status,
                    "run": _path(row),
                    "valid": None if row.valid is None else dict(row.valid),
                    "cause": row.cause,
                    "best_epoch": row.best_epoch,
                    "seconds": row.seconds,
                    "exit_code": row.exit_code,
                }
                for row in self.rows
            ],
        }

    def save(self) -> None:
        """Write `sweep.json` and `sweep.csv`, each atomically."""
        atomic_write(self.folder / "sweep.json", to_json(self.document(), indent=2) + "\n")
        atomic_write(self.folder / "sweep.csv", self._table())

    def _take(self, row: Row, result: Mapping[str, Any]) -> None:
        """Read the result of a finished run into a row; a run without the criterion's value counts as failed.

        Other metrics may be null, as undefined ones are.
        """
        valid, criterion = result.get("valid"), self.plan.which4best
        known = valid if isinstance(valid, dict) else {}
        numbers = {name: value if is_number(value) else None for name, value in known.items()}
        if numbers.get(criterion) is None:
            why = reason_in(result, "valid", criterion)
            row.status, row.cause = FAILED, f"no value of {criterion} on validation in {row.run.path}"
            if why:
                row.cause = f"{criterion} is undefined on valid: {why}"
            return
        row.status, row.cause, row.valid, row.best_epoch = DONE, None, numbers, result.get("best_epoch")
        row.exit_code = 0
        # The time recorded by the run, so that a ledger rebuilt from the run folders is the same.
        seconds = result.get("seconds")
        if isinstance(seconds, dict) and is_number(seconds.get("total")):
            row.seconds = seconds["total"]

    def _table(self) -> str:
        metrics = list(dict.fromkeys(name for row in self.rows for name in row.valid or ()))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        keys = list(self.plan.trials[0].overrides)
        writer.writerow(["trial", *keys, "status", *metrics, "best_epoch", "seconds", "run", "cause"])
        for row in self.rows:
            values = [as_text(row.trial.overrides[key]) for key in keys]
            numbers = [(row.valid or {}).get(name) for name in metrics]
            writer.writerow(
                [row.trial.index, *values, row.status, *numbers, row.best_epoch, row.seconds, _path(row), row.cause]
            )
        return text.getvalue()


def _path(row: Row) -> str | None:
    """Return the path of the trial's run folder, or None if it does not exist (yet)."""
    return str(row.run.path) if row.status != PENDING and row.run.path.exists() else None


def as_text(value: Any) -> str:
    """Return a setting's value as table text: strings unchanged, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def _lock(path: Path) -> int:
    """Take the lock and return its descriptor.

    The lock belongs to the open file, so it is released when the last process that inherited it ends, however it ends.

    Raises:
        ConfigError: another process holds it, or the file cannot be written.
    """
    try:
        descriptor = take(path, patience=0.0)
    except HeldError:
        holder = path.read_text(encoding="utf-8", errors="replace")[:32].strip()
        raise ConfigError(_explain_lock(path.parent, holder)) from None
    except OSError as error:
        raise ConfigError(f"cannot lock the sweep {path.parent}: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _explain_lock(folder: Path, holder: str) -> str:
    if holder.isdecimal() and not is_alive(int(holder)):
        return (
            f"trials of this sweep are still running, but process {holder}, which started them, has ended: {folder}; "
            f"wait for them to end, or stop them ('pgrep -f {folder / 'trials'}' lists them)"
        )
    return f"this sweep is already running (process {holder or 'unknown'}): {folder}; wait for it to end, or stop it"
