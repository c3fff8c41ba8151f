"""Find the runs and sweeps that `recrun rm` is asked to remove: by path, or by conditions on runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.runs.find import folder_of_runs
from recrun.runs.folder import RunFolder
from recrun.runs.listing import is_condition, list_runs
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import check_schema, read_json
from recrun.runs.scan import find_folders, runs_in
from recrun.sweep.storage import LEDGER, SWEEPS

_RUN_FILES: Final = ("run.json", "config.yaml")


@dataclass(frozen=True)
class Target:
    """A run or a sweep that is to be removed.

    Args:
        kind: "run" or "sweep".
        path: its folder, through no link but those above it.
        root: the folder of all runs that it lies in.
    """

    kind: str
    path: Path
    root: Path


def find_targets(arguments: Sequence[str], runs: str | Path) -> list[Target]:
    """Return the runs and sweeps that arguments name, each once; with a sweep go the runs of its trials.

    Args:
        arguments: paths of runs and sweeps, or conditions, all of which a run must meet.
        runs: the folder of all runs, for conditions.

    Raises:
        ConfigError: an argument is neither, or both kinds are given; it holds all faults.
    """
    paths = [each for each in arguments if os.path.lexists(each) or not is_condition(each)]
    if not paths:
        found = [Target("run", Path(row["run"]), Path(runs)) for row in list_runs(runs, arguments)]
        return _checked((f"the folder of runs {runs}", each) for each in found)
    if len(paths) < len(arguments):
        raise ConfigError(f"name runs and sweeps or give conditions, not both: {paths[0]} is no condition")
    faults, targets = [], []
    for position, argument in enumerate(arguments, start=1):
        try:
            if not argument.strip():  # it would stand for the working folder
                raise CheckpointError("expected a run, a sweep or a condition, found nothing")
            targets += _at(Path(argument), Path(runs))
        except (CheckpointError, OSError) as error:
            text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            faults.append(Fault(text, file=f"argument {position}"))
    if faults:
        raise ConfigError(faults)
    return list({os.path.realpath(each.path): each for each in targets}.values())


def _checked(found: Iterator[tuple[str, Target]]) -> list[Target]:
    """Return targets that were found by conditions; what stands for a folder that cannot be read is none."""
    targets, faults = [], []
    for where, each in found:
        if _is_run(each.path):
            targets.append(each)
        elif os.path.lexists(each.path):  # else another process removes it
            faults.append(Fault(f"{each.path} in {where} is not a run, or cannot be read"))
    if faults:
        raise ConfigError(faults)
    return targets


def _at(path: Path, runs: Path) -> list[Target]:
    """Return the run, or the sweep and its runs, at a path."""
    if not os.path.lexists(path):
        known = [Path(each) for each in find_folders(runs) if os.path.basename(each) == str(path)]
        hint = f"; did you mean {str(known[0])!r}?" if known else ""
        raise CheckpointError(f"there is no run or sweep at {path}{hint}")
    folder = follow_latest(path)
    folder = folder.resolve() if folder.is_symlink() else Path(os.path.normpath(folder))
    if folder.name in ("", ".", ".."):
        folder = folder.resolve()
    if _is_run(folder):
        root = root_of(folder, runs)
        # One spelling of a path, however it was reached, so that all runs of a folder are seen together.
        is_below = (
            len(folder.parents) > 2 and root == folder.parents[2] and os.path.realpath(root) == os.path.realpath(runs)
        )
        return [Target("run", runs.joinpath(*folder.parts[-3:]), runs) if is_below else Target("run", folder, root)]
    if folder.parent.name == SWEEPS and os.path.lexists(folder / LEDGER):
        root = folder.parent.parent
        if os.path.realpath(root) == os.path.realpath(runs):
            root, folder = runs, runs / SWEEPS / folder.name
        return [Target("sweep", folder, root), *(Target("run", each, root) for each in runs_of_sweep(folder))]
    raise CheckpointError(
        f"{path} is neither a run nor a sweep: expected a folder with run.json, or one in {SWEEPS}/ with {LEDGER}; "
        "conditions such as status=failed choose several runs"
    )


def _is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run, which may be damaged, and not one with a config of the user's own."""
    if os.path.islink(folder) or not any(os.path.lexists(folder / name) for name in _RUN_FILES):
        return False
    with suppress(CheckpointError):
        check_schema(read_json(folder / "run.json"), folder)
        return True
    return (folder / "checkpoints").is_dir()


def root_of(run: Path, runs: Path) -> Path:
    """Return the folder of all runs that a run lies in: `runs` if it lies there, else the one that fits its config."""
    above = run.parents
    if len(above) > 2 and os.path.realpath(above[2]) == os.path.realpath(runs):
        return above[2]
    try:
        return folder_of_runs(RunFolder(run))
    except CheckpointError:
        return above[0]


def trials_of(ledger: dict[str, Any]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the index of each trial that has a run, with the last three parts of the run's path.

    The paths in a ledger are relative to the folder in which the sweep was started, and the ledger may be a stranger's.
    """
    trials = ledger.get("trials")
    for index, trial in enumerate(trials if isinstance(trials, list) else []):
        run = trial.get("run") if isinstance(trial, dict) else None
        if isinstance(run, str) and ".." not in Path(run).parts and len(Path(run).parts) > 2:
            yield index, Path(run).parts[-3:]


def runs_of_sweep(folder: Path) -> list[Path]:
    """Return the runs of a sweep's trials, those of earlier attempts included.

    Raises:
        CheckpointError: the sweep's ledger cannot be read.
        OSError: a folder of its runs cannot be read.
    """
    root = folder.parent.parent
    datasets = {root.joinpath(*tail[:2]) for _, tail in trials_of(read_json(folder / LEDGER))}
    # A trial's run is called after the sweep, so that the ledger of a stranger's cannot name another one.
    own = re.compile(rf"{re.escape(folder.name.rpartition('-')[2])}-[0-9]+(-[0-9]+)?")
    found = [Path(run) for dataset in sorted(datasets) for _, run in runs_in(str(dataset))]
    return [run for run in found if own.fullmatch(run.name)]
