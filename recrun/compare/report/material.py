"""Gather what a report shows of finished runs: their groups, records, numbers and sweeps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.compare.compare import How, compare_selected
from recrun.compare.comparison import Comparison
from recrun.compare.entry import Entry, Split, read_entry
from recrun.compare.report.sweep_trials import Sweep, read_sweep
from recrun.compare.select import Selection, select
from recrun.errors import CheckpointError, ConfigError
from recrun.report.files.course import Courses
from recrun.runs.folder import RunFolder
from recrun.runs.history import read_history
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import has_record, read_json
from recrun.sweep.storage import LEDGER

_REASON: Final = "no tests, since "


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        series: the number of its group.
        entry: what a comparison needs of it.
        row: its row, as of `recrun.runs.listing.describe`.
        record: the content of its run.json.
        metrics: that of its metrics.json.
        courses: its values by epoch.
    """

    series: int
    entry: Entry
    row: Mapping[str, Any]
    record: Mapping[str, Any]
    metrics: Mapping[str, Any]
    courses: Courses

    @property
    def seed(self) -> str:
        """The seed as text."""
        return str(self.entry.settings.get("seed"))


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Args:
        comparison: the groups and the tests.
        reason: why nothing is tested, "" otherwise.
        runs: the runs, by group.
        sweeps: the sweeps that were named.
        notes: what a reader should know besides the notes of the comparison.
    """

    comparison: Comparison
    reason: str
    runs: tuple[Run, ...]
    sweeps: tuple[Sweep, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names of the groups, in the order of their series."""
        return [group.name for group in self.comparison.groups]

    def of_group(self, series: int) -> list[Run]:
        """Return the runs of a group."""
        return [run for run in self.runs if run.series == series]


def gather(arguments: Sequence[str], runs: str | Path, how: How, split: Split | None, *, is_asked: bool) -> Material:
    """Return what a report of some runs shows.

    Args:
        arguments: as of `recrun.compare.select.select`.
        runs: the folder of runs that is meant where only conditions are given.
        how: how they are compared; its split does not count.
        split: "test" or "valid"; None for test where all runs have it, else valid.
        is_asked: whether tests were asked for; if they are not possible, that is an error then.

    Raises:
        ConfigError: the arguments name no finished runs, or what is asked for cannot be done.
        CheckpointError: a run or a sweep is damaged.
    """
    notes = []
    selection = select(arguments, runs)
    if split is None:
        rows = selection.rows
        split = "valid" if any(not row["test"] for row in rows) and all(row["valid"] for row in rows) else "test"
        if split == "valid":
            notes.append("the numbers are those of validation, since some runs have none of test")
    how = replace(how, split=split)
    comparison, reason = _compared(selection, how, is_asked=is_asked)
    row_of = {row["run"]: row for row in selection.rows}
    gathered = [
        _run(series, row_of[path], split, notes)
        for series, group in enumerate(comparison.groups)
        for path in group.runs
    ]
    datasets = {str(run.entry.settings.get("dataset")) for run in gathered}
    sweeps = [read_sweep(folder, datasets) for folder in map(_sweep_folder, arguments) if folder is not None]
    return Material(comparison, reason, tuple(gathered), tuple(sweeps), tuple(notes))


def _compared(selection: Selection, how: How, *, is_asked: bool) -> tuple[Comparison, str]:
    """Return the comparison, without tests where these are impossible and were not asked for, and the reason."""
    if how.descriptive:
        found, why = compare_selected(selection, how), ""
    else:
        try:
            return compare_selected(selection, how), ""
        except (ConfigError, CheckpointError) as error:
            if is_asked:
                raise
            # Raises again if it is not the tests that are impossible.
            described = replace(how, baseline=None, over=None, descriptive=True)
            found, why = compare_selected(selection, described), str(error)
    reasons = [note.removeprefix(_REASON) for note in found.notes if note.startswith(_REASON)]
    kept = tuple(note for note in found.notes if not note.startswith(_REASON))
    return replace(found, notes=kept), "; ".join(reasons) or why


def _run(series: int, row: Mapping[str, Any], split: Split, notes: list[str]) -> Run:
    """Return a run, and note what of it cannot be shown."""
    path = row["run"]
    entry = read_entry(row, split)
    if entry is None:
        raise ConfigError(f"{path} has lost its {split} metrics while the report was made")
    record, metrics = read_json(Path(path, "run.json")), read_json(Path(path, "metrics.json"))
    courses = Courses()
    try:
        for line in read_history(RunFolder(path).metrics_lines_file, strict=True):
            courses.append(line["split"], line["epoch"], {name: float(each) for name, each in line["values"].items()})
    except CheckpointError as error:
        notes.append(f"no curves, or not all of them: {error}")
    return Run(series, entry, row, record, metrics, courses)


def _sweep_folder(argument: str) -> Path | None:
    """Return the folder of a sweep that an argument names, None if it names none."""
    if not os.path.isdir(argument):
        return None
    folder = follow_latest(Path(argument))
    return folder if not has_record(folder) and os.path.lexists(folder / LEDGER) else None


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value of a JSON document if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
