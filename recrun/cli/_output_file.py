"""Write the file that --to names: refused before work starts if it cannot be written, and never half written."""

from __future__ import annotations

import os

import click


def refuse_place(path: str) -> None:
    """Refuse to write where something else than a file is, which would be replaced, or where no file can be.

    Raises:
        click.UsageError: there is a link, FIFO, device or the like, or no folder that can be written.
    """
    if os.path.islink(path):
        raise click.UsageError(f"--to {path}: it is a symbolic link; name the file itself")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise click.UsageError(f"--to {path}: it is not a regular file")
    folder = os.path.dirname(path) or os.curdir
    if not os.path.isdir(folder):
        raise click.UsageError(f"--to {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.UsageError(f"--to {path}: the folder {folder} cannot be written")


def write(path: str, content: str) -> None:
    """Write a file atomically.

    Raises:
        RecrunError: it cannot be written.
    """
    from recrun.errors import RecrunError
    from recrun.files import atomic_write

    try:
        atomic_write(path, content)
    except OSError as error:
        raise RecrunError(f"cannot write {path}: {error.strerror}") from None
