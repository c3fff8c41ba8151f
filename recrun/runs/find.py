"""Find runs by path, below a folder, or by their settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import refused_changes
from recrun.errors import CheckpointError
from recrun.runs.folder import CHECKPOINT_FILE, RunFolder, follow_latest, runs_like

_HIDDEN: Final = "."


def find_runs(root: str | Path) -> list[RunFolder]:
    """Return the runs below a folder, including damaged ones, in the order in which they were created.

    A run is a folder at the third level with a `run.json` or a `config.yaml`; `latest` and folders that are still being
    created are skipped.
    """
    found: dict[Path, float] = {}
    for description in _folders(Path(root)):
        for dataset in _folders(description):
            for folder in _folders(dataset, follow=False):
                times = [_made(folder / name) for name in ("config.yaml", "run.json")]
                if any(times):
                    found[folder] = min(time for time in times if time)
    return [RunFolder(folder) for folder in sorted(found, key=lambda folder: (found[folder], folder))]


def locate_checkpoint(path: str | Path) -> tuple[RunFolder | None, Path]:
    """Return the run (None for a checkpoint outside a run) and the checkpoint file that a path refers to.

    Args:
        path: a run folder (its best checkpoint, else its last), one of its checkpoint folders, or a checkpoint file.

    Raises:
        CheckpointError: there is no checkpoint there.
    """
    given = follow_latest(Path(path))
    if not os.path.exists(given):
        raise CheckpointError(f"there is nothing at {path}; expected a run folder or a checkpoint")
    given = given.resolve()
    if (given / "run.json").is_file():
        run = RunFolder(given)
        for which in ("best", "last"):
            if run.checkpoint_file(which).is_file():
                return run, run.checkpoint_file(which)
        raise CheckpointError(f"the run {path} holds no checkpoint yet")
    file = given / CHECKPOINT_FILE if given.is_dir() else given
    if not file.is_file():
        raise CheckpointError(f"{path} is neither a run folder nor a checkpoint")
    top = file.parent.parent.parent
    is_of_run = (top / "run.json").is_file() and file.parent.parent.name == "checkpoints"
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
        CheckpointError: the run called `id` has different settings.
    """
    folder, id = runs_like(root, settings), settings.get("id")
    if id:
        run = RunFolder(folder / id)
        if not run.run_file.is_file():
            return None
        changes = refused_changes(run.read_settings(), settings, any_seed=True)
        if changes:
            listed = "; ".join(f"{key} {change}" for key, change in changes.items())
            raise CheckpointError(f"the run {run.path} has different settings ({listed}); choose another id")
        return run
    for run in reversed([run for run in find_runs(root) if run.path.parent == folder]):
        try:
            unfinished = run.read_run().get("status") != "done"
            if unfinished and not refused_changes(run.read_settings(), settings, any_seed=True):
                return run
        except CheckpointError:
            continue
    return None


def _folders(parent: Path, *, follow: bool = True) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if not entry.name.startswith(_HIDDEN) and entry.is_dir(follow_symlinks=follow)
            ]
    except OSError:
        return []


def _made(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None
