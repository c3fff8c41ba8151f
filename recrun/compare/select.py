"""Find the finished runs that paths and conditions name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.runs.folder import RunFolder
from recrun.runs.listing import DAMAGED, describe, is_condition, meeting, read_filter
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import has_record, read_json
from recrun.runs.resume import is_recorded_as_done
from recrun.runs.scan import find_folders, folders_in, runs_in
from recrun.runs.status import PrunedRuns
from recrun.sweep.row import PAUSED, PRUNED
from recrun.sweep.storage import LEDGER

DONE: Final = "done"
_LEVELS: Final = 3
"""A run lies in the folder of its data set, in that of its description, in the folder of all runs."""
_NO_RUN: Final = "no run"
_NAMED: Final = 5
"""A note names so many runs, and counts the others."""


@dataclass(frozen=True)
class Selection:
    """The finished runs that were asked for.

    Args:
        rows: a row for each run, as of `recrun.runs.listing.describe`, in the order in which they were named.
        notes: what was left out, and why.
    """

    rows: list[dict[str, Any]]
    notes: list[str]


def select(arguments: Sequence[str], root: str | Path = "runs") -> Selection:
    """Return the finished runs that arguments name.

    Args:
        arguments: run folders, sweep folders, folders that hold runs at any of the levels below a folder of runs, and
            conditions on runs (see `recrun.runs.listing.Filter`), which all runs must meet.
        root: the folder of runs that is meant where only conditions are given.

    Raises:
        ConfigError: an argument is none of these, or no run is left.
        CheckpointError: a sweep's folder is damaged.
    """
    filters, conditions, found, notes = [], [], [], []
    for position, argument in enumerate(arguments, start=1):
        if os.path.lexists(argument):
            paths, more = _runs_at(argument)
            found += paths
            notes += more
        elif is_condition(argument):
            filters.append(read_filter(argument, position))
            conditions.append(argument)
        else:
            message = f"there is nothing at {argument!r}; expected a run, a sweep, a folder of runs, or a condition "
            raise ConfigError(Fault(message + "such as model=bprmf", file=f"argument {position}"))
    if not found:
        found = find_folders(root)
        if not found:
            raise ConfigError(f"there are no runs in {root}")
    paths, repeated = _without_repetitions(found)
    if repeated:
        notes.append(f"given more than once, counted once: {listed(repeated)}")
    pruned = PrunedRuns()
    rows = [describe(path, pruned) for path in paths]
    notes += [f"left out: {row['cause']}" for row in rows if row["status"] == DAMAGED]
    rows = meeting([row for row in rows if row["status"] != DAMAGED], filters)
    if not rows:
        known = f"no run meets {' and '.join(conditions)}" if filters else f"no run can be read: {'; '.join(notes)}"
        raise ConfigError(known)
    unfinished = [row for row in rows if row["status"] != DONE]
    for status in dict.fromkeys(row["status"] for row in unfinished):
        left_out = [row["run"] for row in unfinished if row["status"] == status]
        notes.append(f"left out, since {status}: {listed(left_out)}")
    rows = [row for row in rows if row["status"] == DONE]
    if not rows:
        raise ConfigError(f"none of the runs is done: {'; '.join(notes)}")
    return Selection(rows, notes)


def listed(paths: Iterable[str], most: int = _NAMED) -> str:
    """Return the paths of some runs as text; of many, the first ones and the number of the others.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    known = [os.path.relpath(path) if os.path.isabs(path) and _is_below(path) else path for path in paths]
    return ", ".join(known[:most]) + (f" and {len(known) - most} more" if len(known) > most else "")


def _is_below(path: str) -> bool:
    return not os.path.relpath(path).startswith(os.pardir)


def _runs_at(path: str) -> tuple[list[str], list[str]]:
    """Return the runs that a path stands for, and notes on them."""
    folder = follow_latest(Path(path))
    if has_record(folder):
        return [str(folder.resolve() if folder.is_symlink() else folder)], []
    if os.path.lexists(folder / LEDGER):
        return _trials(folder)
    try:
        found = _runs_below(str(folder))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if not found:
        kind = "there are no runs in it" if os.path.isdir(folder) else "it is not a folder"
        raise ConfigError(f"{path} is neither a run nor a sweep, and {kind}")
    return found, []


def _runs_below(folder: str) -> list[str]:
    """Return the runs below a folder: that of a data set, of a description, or of all runs; the oldest first."""
    return [path for _, path in sorted(_dated_runs(folder, _LEVELS))]


def _dated_runs(folder: str, levels: int) -> list[tuple[float, str]]:
    """Return the runs at so many levels below a folder, with the time of each; a folder that cannot be read is one."""
    found = runs_in(folder)
    if levels > 1:
        for inner in sorted({*folders_in(folder)} - {path for _, path in found}):
            try:
                found += _dated_runs(inner, levels - 1)
            except OSError:
                found.append((0.0, inner))
    return found


def _trials(folder: Path) -> tuple[list[str], list[str]]:
    """Return the runs of a sweep's trials, and notes on those that have none or were not trained to their end.

    A sweep records the paths of its runs as they were seen from the folder in which it was started; here, they are
    looked for beside the sweep, too.
    """
    document = read_json(folder / LEDGER)
    trials, before = document.get("trials"), document.get("sweep")
    damage = CheckpointError(f"{folder / LEDGER} is damaged: it has no list of trials")
    if not isinstance(trials, list) or not isinstance(before, str):
        raise damage
    root_before, root = Path(before).parent.parent, folder.resolve().parent.parent
    found = []
    left_out: dict[str, int] = {}
    for trial in trials:
        if not isinstance(trial, dict):
            raise damage
        run = trial.get("run")
        places = [run, str(root / os.path.relpath(run, root_before))] if isinstance(run, str) else []
        place = next((each for each in places[::-1] if _is_run(each)), None)
        status = str(trial.get("status"))
        if status in (PAUSED, PRUNED) and (place is None or not _is_done(place)):
            left_out[status] = left_out.get(status, 0) + 1
        elif place is None:
            left_out[_NO_RUN] = left_out.get(_NO_RUN, 0) + 1
        else:
            found.append(place)
    if not found:
        raise ConfigError(f"no trial of the sweep {folder} has a run that can be compared")
    return found, [f"left out: {_told(n, status, folder)}" for status, n in left_out.items()]


def _told(n: int, status: str, folder: Path) -> str:
    """Return why some trials of a sweep are left out."""
    if n == 1:
        return f"1 trial of {folder} {'has no run' if status == _NO_RUN else f'was {status}'}"
    return f"{n} trials of {folder} {'have no run' if status == _NO_RUN else f'were {status}'}"


def _is_done(path: str) -> bool:
    try:
        return is_recorded_as_done(RunFolder(path))
    except CheckpointError:
        return False


def _is_run(path: str) -> bool:
    try:
        return has_record(path)
    except CheckpointError:
        return False


def _without_repetitions(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the paths without those that lead to a run that is there already, and those that had such others."""
    found: dict[str, str] = {}
    repeated: dict[str, None] = {}
    for path in paths:
        real = os.path.realpath(path)
        if real in found:
            repeated[found[real]] = None
        found.setdefault(real, path)
    return list(found.values()), list(repeated)
