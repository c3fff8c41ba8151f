"""Keep the sweep folder: the state of every trial, and the lock that prevents two sweeps at once.

    <runs>/sweeps/<description>-<hash>/
        sweep.json      every trial with its state; rewritten after changes, and at the end
        sweep.csv       the same as a table
        journal.jsonl   the decisions of a study whose trials are not all known beforehand
        lock            held while the sweep runs
        trials/         <i>.yaml, the config of trial i; <i>.log, what its process printed

The name contains a hash of the trials' configs, so the same command finds the same folder. Which trials are done is
read from their run folders, never from sweep.json.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import without_run
from recrun.config.yaml_writer import dump_mapping
from recrun.files import atomic_write, to_json
from recrun.metrics.undefined import reason_in
from recrun.sweep.attempts import Attempts, read_id
from recrun.sweep.document import document, refuse_newer, table
from recrun.sweep.journal import JOURNAL, Journal
from recrun.sweep.locks.lease import Say
from recrun.sweep.locks.lock import SweepLock
from recrun.sweep.planning.extend import refuse_extended
from recrun.sweep.planning.study import Plan
from recrun.sweep.row import DONE, FAILED, PAUSED, PENDING, RUNNING, Row
from recrun.sweep.schedules.schedule import Result
from recrun.sweep.state import State
from recrun.sweep.step_results import recorded_seconds
from recrun.sweep.storage import LEDGER, open_folder, writing
from recrun.sweep.trial_results import INTERRUPTED_EXIT, is_number, read_result

_PAUSE: Final = 20
"""Pauses between savings are this many times as long as a saving takes."""


class Ledger(State):
    """The state of one sweep, in memory and in its folder.

    Use it as a context manager: entering takes the lock and finds what earlier attempts finished.

    Args:
        plan: the sweep.
        runs: the root of all run folders.
        say: is given a line when taking the sweep over from another host takes some seconds.

    Raises:
        ConfigError: on entering, the same sweep is already running, was extended since it was planned, or its folder is
            damaged or cannot be written.
    """

    def __init__(self, plan: Plan, runs: Path, *, say: Say | None = None) -> None:
        super().__init__(plan, runs)
        self._say = say
        self.notes: list[str] = []
        self._lock: SweepLock | None = None
        self._has_begun = self._is_changed = False
        self._next_save = 0.0

    def __enter__(self) -> Ledger:
        open_folder(self.folder, self.trials_folder)
        self._lock = SweepLock(self.folder, say=self._say)
        try:
            refuse_newer(self.folder)
            refuse_extended(self.plan, self.folder)
            self.recover()
            self.save()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def trials_folder(self) -> Path:
        """The folder of the trials' configs and logs."""
        return self.folder / "trials"

    def config_path(self, row: Row) -> Path:
        """Return the file that holds a trial's resolved config."""
        return self.trials_folder / f"{row.trial.index}.yaml"

    def floors_path(self, row: Row) -> Path:
        """Return the file that holds the values below which a trial is stopped."""
        return self.trials_folder / f"{row.trial.index}.floors.json"

    def attempt_path(self, row: Row) -> Path:
        """Return the file that holds the id of the run that a trial was started as."""
        return self.trials_folder / f"{row.trial.index}.run"

    def log_path(self, row: Row) -> Path:
        """Return the file that collects what a trial's process prints."""
        return self.trials_folder / f"{row.trial.index}.log"

    def require_lease(self) -> None:
        """Check that no other process has taken the sweep over.

        Raises:
            LeaseLostError: one has, as after this one was suspended for too long.
        """
        if self._lock is not None:
            self._lock.check()

    def recover(self) -> None:
        """Read the journal, find what earlier attempts at every trial left, and choose how each is attempted next."""
        self.journal = Journal(self.folder / JOURNAL)
        for lane, draw in self.plan.draws_in(self.journal.entries):
            self.begin_point(lane, draw)
        self._given_up = {entry["given_up"] for entry in self.journal.entries if "given_up" in entry}
        self._attempts = Attempts(self.runs, self.plan.axes, self._given_up)
        self._attempts.find(self.rows, self._take)
        self.notes += self._attempts.notes

    def begin_point(self, lane: int, draw: Mapping[str, int | float]) -> None:
        """Add the trials of a point that was drawn, unless they are there."""
        for trial, refusal in self.plan.add_point(lane, draw):
            row = self.add(trial)
            if refusal:
                row.status, row.cause, row.is_impossible = FAILED, refusal, True

    def begin(self, row: Row) -> None:
        """Record that a trial's process is about to start, and write its config."""
        self.require_lease()
        with writing(self.folder, has_begun=self._has_begun):
            atomic_write(self.config_path(row), dump_mapping(without_run(row.trial.config)))
            atomic_write(self.attempt_path(row), f"{row.run_id}\n")
            if row.floors:
                atomic_write(self.floors_path(row), to_json({str(epoch): row.floors[epoch] for epoch in row.floors}))
        row.status, row.cause, row.exit_code = RUNNING, None, None
        row.n_tries += 1
        self._change()
        self._has_begun, row.started = True, time.monotonic()

    def take_over(self, row: Row) -> None:
        """Record that a trial runs which an earlier process has started."""
        self._attempts.point_at_id(row, read_id(self.attempt_path(row)))
        row.status, row.cause, row.exit_code = RUNNING, None, None
        row.n_tries += 1
        self._has_begun, row.started = True, time.monotonic()
        self._change()

    def end(self, row: Row, status: str, seconds: float | None, exit_code: int | None, cause: str | None) -> None:
        """Record how a trial ended; status `done` without a result in its run folder counts as failed or paused."""
        was_continued, row.continues = row.continues, False
        row.status, row.seconds, row.exit_code, row.cause = status, seconds, exit_code, cause
        row.spent = seconds
        if status == DONE:
            result = read_result(row.run)
            if result is not None:
                self._take(row, result)
            elif row.until is not None or row.floors:
                row.status = PAUSED
            else:
                self.record_shortfall(row, f"ended without a result in {row.run.path}")
        elif was_continued and _failed_itself(status, exit_code):
            self._give_up(row)
        self._change()

    def record_shortfall(self, row: Row, cause: str) -> None:
        """Record that a trial ended well without what it was started for; its run would do so again."""
        row.status, row.cause = FAILED, cause
        self._give_up(row)

    def _give_up(self, row: Row) -> None:
        """Never continue the run of a trial again: its next attempt begins anew."""
        if row.run_id not in self._given_up:
            self._given_up.add(row.run_id)
            self.decide({"given_up": row.run_id})

    def decide(self, entry: Mapping[str, Any]) -> None:
        """Add an entry to the journal, before it is carried out.

        Raises:
            LeaseLostError: another process has taken the sweep over.
            TrainingError: it cannot be written.
        """
        self.require_lease()
        self.journal.append(entry)

    def look_again(self, row: Row) -> None:
        """Find out anew how a trial goes on if its run exists by now: an earlier process may have just left it."""
        if not row.continues and row.run.path.exists():
            self._attempts.again(row)

    def again(self, row: Row) -> None:
        """Prepare a further attempt at a trial that failed or was interrupted."""
        self._attempts.again(row)
        row.status = PENDING
        self._change()

    def save(self) -> None:
        """Write `sweep.json` and `sweep.csv`, each atomically.

        Raises:
            ConfigError, TrainingError: they cannot be written; see `recrun.sweep.storage.writing`.
            LeaseLostError: another process has taken the sweep over.
        """
        self.require_lease()
        begun = time.monotonic()
        with writing(self.folder, has_begun=self._has_begun):
            atomic_write(self.folder / LEDGER, to_json(document(self), indent=2) + "\n")
            atomic_write(self.folder / "sweep.csv", table(self))
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

    def take_partial(self, row: Row, result: Result) -> None:
        """Take what a trial that was paused has reached; its value is that of its best evaluation so far."""
        row.valid = None if result.value is None else {self.plan.which4best: self.plan.sign * result.value}
        row.best_epoch = next((epoch for epoch, value in result.curve.items() if value == result.value), None)
        row.seconds = recorded_seconds(row.run)

    def _take(self, row: Row, result: Mapping[str, Any]) -> None:
        """Read the result of a finished run into a row; without the numbers that the sweep reports it has failed.

        Metrics other than the criteria may be null, as undefined ones are.
        """
        row.valid = _numbers(result.get("valid"))
        row.test = _numbers(result.get("test")) if self.plan.is_tested else None
        needed = self.numbers(row)
        missing = next((name for name in self.plan.criteria if needed.get(name) is None), None)
        if not needed or (missing is not None and not self.plan.is_tested):
            row.cause = self._lacks(row, result, missing or self.plan.which4best)
            row.status, row.valid, row.test = FAILED, None, None
            return
        row.status, row.cause, row.best_epoch, row.reached = DONE, None, result.get("best_epoch"), None
        row.exit_code = 0
        # The time recorded by the run, so that a ledger rebuilt from the run folders is the same.
        seconds = result.get("seconds")
        if isinstance(seconds, dict) and is_number(seconds.get("total")):
            row.seconds = seconds["total"]

    def _lacks(self, row: Row, result: Mapping[str, Any], criterion: str) -> str:
        if self.plan.is_tested:
            return f"no test metrics in {row.run.path}"
        why = reason_in(result, "valid", criterion)
        if why:
            return f"{criterion} is undefined on valid: {why}"
        return f"no value of {criterion} on validation in {row.run.path}"


def _failed_itself(status: str, exit_code: int | None) -> bool:
    """Return whether a trial failed, and was neither killed nor stopped."""
    return status == FAILED and exit_code is not None and exit_code > 0 and exit_code != INTERRUPTED_EXIT


def _numbers(values: Any) -> dict[str, float | None] | None:
    """Return the metrics of a part, None for what is no number; None if the part was not evaluated."""
    if not isinstance(values, dict):
        return None
    return {name: value if is_number(value) else None for name, value in values.items()}
