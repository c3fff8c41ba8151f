"""Find what earlier attempts at the trials of a sweep have left: results, runs to continue, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError
from recrun.files import read_regular
from recrun.sweep.row import Row
from recrun.sweep.same_data import DataFiles
from recrun.sweep.trial_results import (
    CAN_GO_ON,
    attempt_id,
    attempts_in,
    holds_config,
    lacks_only_its_end,
    read_result,
    recorded_status,
    run_folder,
)

_MOST_BYTES: Final = 256


class Attempts:
    """The attempts at trials in a folder of runs.

    Args:
        runs: the root of all run folders.
        axes: the settings that vary.
        given_up: the ids of runs that could not be continued.
    """

    def __init__(self, runs: Path, axes: Collection[str], given_up: Collection[str] = ()) -> None:
        self._runs = runs
        self._axes = axes
        self._given_up = given_up
        self._files = DataFiles()
        self.notes: list[str] = []

    def find(self, rows: Iterable[Row], take: Callable[[Row, dict[str, Any]], None]) -> None:
        """Point each row at the run that finished it, or that it continues, or at a new one.

        A trial that was killed after it wrote its final numbers is continued in its folder, to write the rest. One
        whose data files have changed since is trained again.

        Args:
            rows: the rows.
            take: takes the result of a finished run into a row.
        """
        rows = list(rows)
        folders = {row.run.path.parent for row in rows}
        attempts = {folder: attempts_in(folder) for folder in folders}
        for row in rows:
            known = attempts[row.run.path.parent].get(row.trial.id, [])
            if not self._take_result(row, known, take):
                last = known[-1] if known else 0
                if last:
                    self._point_at(row, last)
                row.continues = bool(last) and self._can_go_on(row)
                if not row.continues and not (last and row.run.is_running):
                    self._point_at(row, last + 1)

    def again(self, row: Row) -> None:
        """Point a row at the run of its next attempt: the last one if it can go on, else a new one."""
        known = attempts_in(row.run.path.parent).get(row.trial.id, [])
        row.continues = bool(known) and self._can_go_on(row)
        if not row.continues:
            self._point_at(row, known[-1] + 1 if known else 1)

    def _take_result(self, row: Row, known: Collection[int], take: Callable[[Row, dict[str, Any]], None]) -> bool:
        changes: list[str] = []
        for attempt in known:
            self._point_at(row, attempt)
            result = read_result(row.run)
            lacks_end = result is None and lacks_only_its_end(row.run)
            if not (result or lacks_end) or not holds_config(row.run, row.trial.config, self._axes):
                continue
            try:
                changes = self._files.changes(row.run, row.trial.config)
            except CheckpointError:
                continue
            if changes:
                continue
            row.was_done, row.continues = not lacks_end, lacks_end
            if result:
                take(row, result)
            return True
        if changes:
            self.notes.append(f"trial {row.trial.index} is trained again: {'; '.join(changes)}")
        return False

    def _can_go_on(self, row: Row) -> bool:
        """Return whether the run that a row points at was stopped, and can be continued to the same numbers."""
        run = row.run
        if row.run_id in self._given_up or not run.checkpoint_file("last").exists():
            return False
        if not holds_config(run, row.trial.config, self._axes):
            return False
        try:
            return recorded_status(run) in CAN_GO_ON and not self._files.changes(run, row.trial.config)
        except CheckpointError:
            return False

    def point_at_id(self, row: Row, run_id: str) -> None:
        """Point a row at the run with an id, if that is one of an attempt at its trial."""
        before, dash, number = run_id.rpartition("-")
        if run_id == row.trial.id or (before == row.trial.id and dash and number.isdecimal() and int(number) > 1):
            self._point_at(row, int(number) if run_id != row.trial.id else 1)

    def _point_at(self, row: Row, attempt: int) -> None:
        row.run_id = attempt_id(row.trial.id, attempt)
        row.run = run_folder(self._runs, row.trial.config, row.run_id)


def read_id(path: Path) -> str:
    """Return the id of a run that a file holds; nothing if it cannot be read."""
    try:
        return read_regular(path, limit=_MOST_BYTES, follow=False).decode("utf-8", errors="replace").strip()
    except OSError:
        return ""
