"""Open the folder of a sweep, refuse what does not belong there, and name what cannot be written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError, TrainingError
from recrun.runs import status

SWEEPS: Final = status.SWEEPS
"""The folder of sweeps in that of all runs."""
LEDGER: Final = status.LEDGER
"""The file of a sweep that holds every trial with its state."""


def open_folder(folder: Path, trials: Path) -> None:
    """Create a sweep's folder and the folder of its trials in it, or check that they hold only files of their own.

    A link in place of a file would have the sweep write elsewhere, and a FIFO or device would let it wait.

    Raises:
        ConfigError: they cannot be created, or something in them is not a regular file.
    """
    with writing(folder, has_begun=False):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for each in (folder, trials):
            if os.path.lexists(each) and not stat.S_ISDIR(each.lstat().st_mode):
                raise ConfigError(f"{each} is not a folder of a sweep; move it away")
            each.mkdir(exist_ok=True)
        for each in (folder, trials):
            with os.scandir(each) as entries:
                for entry in entries:
                    if entry.path != str(trials) and not entry.is_file(follow_symlinks=False):
                        raise ConfigError(f"{entry.path} is not a regular file; move it away")


def as_argument(path: Path) -> str:
    """Return a path as an argument of a command, which takes none that begins with a dash for an option.

    >>> as_argument(Path("-runs"))
    './-runs'
    """
    return f"./{path}" if str(path).startswith("-") else str(path)


@contextmanager
def writing(folder: Path, *, has_begun: bool) -> Iterator[None]:
    """Say in one line which file of a sweep cannot be written.

    Args:
        folder: the sweep's folder.
        has_begun: whether trials were started already.

    Raises:
        ConfigError: something cannot be written, and no trial was started.
        TrainingError: something cannot be written later on.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot write the sweep {folder}: {error.strerror or error}"
        if has_begun:
            raise TrainingError(f"{message}; the command continues it once that is mended") from error
        raise ConfigError(message) from error
