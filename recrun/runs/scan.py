"""Find the folders of runs below a folder, thousands of them within a second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_HIDDEN: Final = "."


def find_folders(root: str | Path) -> list[str]:
    """Return the paths of the runs below a folder, including damaged ones, in the order in which they were created.

    A run is a folder at the third level with a `run.json` or a `config.yaml`; `latest` and folders that are still being
    created are skipped.
    """
    found = [
        each
        for description in _folders(str(Path(root)))
        for dataset in _folders(description)
        for each in runs_in(dataset)
    ]
    return [path for _, path in sorted(found)]


def runs_in(dataset: str) -> list[tuple[float, str]]:
    """Return the runs in the folder for a data set, each with the time at which it was created."""
    # Thousands of runs are listed by plain strings: objects for their paths would take longer than reading them.
    found = []
    for folder in _folders(dataset, follow=False):
        times = [time for name in ("config.yaml", "run.json") if (time := _made(f"{folder}{os.sep}{name}")) is not None]
        if times:
            found.append((min(times), folder))
    return found


def _folders(parent: str, *, follow: bool = True) -> list[str]:
    try:
        with os.scandir(parent) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(_HIDDEN) and entry.is_dir(follow_symlinks=follow)
            ]
    except OSError:
        return []
    return names if parent == os.curdir else [os.path.join(parent, name) for name in names]


def _made(file: str) -> float | None:
    try:
        return os.stat(file, follow_symlinks=False).st_mtime
    except PermissionError:  # it is listed as damaged
        return 0.0
    except OSError:
        return None
