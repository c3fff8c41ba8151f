"""Find the folders of runs below a folder, thousands of them within a second."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

_T = TypeVar("_T")

LATEST: Final = "latest"
"""The link to the run that was trained last."""
_HIDDEN: Final = "."


def find_folders(root: str | Path) -> list[str]:
    """Return the paths of the runs below a folder, including damaged ones, in the order in which they were created.

    A run is a folder at the third level with a `run.json` or a `config.yaml`; `latest` and folders that are still being
    created are skipped. A folder on the way to them that cannot be read stands for the runs in it, which is damage too.

    Raises:
        OSError: the folder itself cannot be read; one that is not there has no runs.
    """
    found: list[tuple[float, str]] = []

    def within(parent: str, look: Callable[[str], list[_T]]) -> list[_T]:
        try:
            return look(parent)
        except OSError:
            found.append((0.0, parent))
            return []

    for description in folders_in(str(Path(root))):
        if os.path.basename(description) == LATEST and os.path.islink(description):
            continue
        for dataset in within(description, folders_in):
            found += within(dataset, runs_in)
    return [path for _, path in sorted(found)]


def runs_in(dataset: str) -> list[tuple[float, str]]:
    """Return the runs in the folder for a data set, each with the time at which it was created.

    Raises:
        OSError: the folder cannot be read; one that is not there has no runs.
    """
    # Thousands of runs are listed by plain strings: objects for their paths would take longer than reading them.
    found = []
    for folder in folders_in(dataset, follow=False):
        times = [time for name in ("config.yaml", "run.json") if (time := _made(f"{folder}{os.sep}{name}")) is not None]
        if times:
            found.append((min(times), folder))
    return found


def folders_in(parent: str, follow: bool = True) -> list[str]:
    """Return the paths of the folders in a folder, without hidden ones; none if it is no folder.

    Args:
        parent: the folder.
        follow: whether links to folders count.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with os.scandir(parent) as entries:
            names = [
                entry.name for entry in entries if not entry.name.startswith(_HIDDEN) and _is_folder(entry, follow)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return names if parent == os.curdir else [os.path.join(parent, name) for name in names]


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:  # a link to itself, or into a folder that cannot be entered
        return False


def _made(file: str) -> float | None:
    try:
        return os.stat(file, follow_symlinks=False).st_mtime
    except PermissionError:  # it is listed as damaged
        return 0.0
    except OSError:
        return None
