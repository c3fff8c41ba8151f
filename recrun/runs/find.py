"""Find runs by path or by their settings."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recrun.config.same_settings import refused_changes
from recrun.errors import CheckpointError
from recrun.runs.folder import RunFolder, runs_like
from recrun.runs.new_folder import follow_latest
from recrun.runs.records import CHECKPOINT_FILE, has_record, refuse_foreign
from recrun.runs.scan import runs_in


def locate_checkpoint(path: str | Path) -> tuple[RunFolder | None, Path]:
    """Return the run (None for a checkpoint outside a run) and the checkpoint file that a path refers to.

    Args:
        path: a run folder (its best checkpoint, else its last), one of its checkpoint folders, or a checkpoint file.

    Raises:
        CheckpointError: there is no checkpoint there, or something else is in its place or in that of the run's files.
    """
    given = follow_latest(Path(path))
    try:
        is_folder = stat.S_ISDIR(os.stat(given).st_mode)
    except PermissionError:
        raise
    except OSError:
        raise CheckpointError(f"there is nothing at {path}; expected a run folder or a checkpoint") from None
    given = given.resolve()
    if is_folder and has_record(given):
        refuse_foreign(given)
        run = RunFolder(given)
        for which in ("best", "last"):
            if run.checkpoint_file(which).is_file():
                return run, run.checkpoint_file(which)
        raise CheckpointError(f"the run {path} holds no checkpoint")
    file = given / CHECKPOINT_FILE if is_folder else given
    top = file.parent.parent.parent
    is_of_run = file.parent.parent.name == "checkpoints" and has_record(top)
    if is_of_run:
        refuse_foreign(top)
    if os.path.islink(file) or not os.path.isfile(file):
        raise CheckpointError(f"{path} is neither a run folder nor a checkpoint")
    return (RunFolder(top) if is_of_run else None), file


def run_for(settings: Mapping[str, Any], root: str | Path = "runs") -> RunFolder:
    """Return a new run folder or, with `resume: true`, the run to continue if there is one.

    Raises:
        ConfigError: the folder of a new run exists already.
        CheckpointError: the run to continue has different settings.
    """
    return (resumable(settings, root) if settings.get("resume") else None) or RunFolder.create(root, settings)


def resumable(settings: Mapping[str, Any], root: str | Path = "runs") -> RunFolder | None:
    """Return the run to continue: the one called `id`, else the newest unfinished one with these settings, if any.

    A seed of -1 matches any seed.

    Raises:
        CheckpointError: the run called `id` has different settings, or cannot be used.
    """
    folder, id = runs_like(root, settings), settings.get("id")
    if id:
        run = RunFolder(folder / id)
        if not os.path.lexists(run.run_file):
            return None
        refuse_foreign(run.path)
        changes = refused_changes(run.read_settings(), settings, any_seed=True)
        if changes:
            listed = "; ".join(f"{key} {change}" for key, change in changes.items())
            raise CheckpointError(f"the run {run.path} has different settings ({listed}); choose another id")
        return run
    for _, path in sorted(runs_in(str(folder)), reverse=True):
        run = RunFolder(path)
        try:
            refuse_foreign(path)
            unfinished = run.read_run().get("status") != "done"
            if unfinished and not refused_changes(run.read_settings(), settings, any_seed=True):
                return run
        except CheckpointError:
            continue
    return None


def folder_of_runs(run: RunFolder) -> Path:
    """Return the folder of all runs that a run lies in or, if it was moved out of one, the folder that it lies in.

    Raises:
        CheckpointError: its config cannot be read.
    """
    above = run.path.parents
    is_in_place = len(above) > 2 and runs_like(above[2], run.read_settings()) == above[0]
    return above[2] if is_in_place else above[0]
