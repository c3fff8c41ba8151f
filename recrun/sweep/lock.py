"""Take the lock that prevents two sweeps at once, and explain who holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError
from recrun.files import HeldError, open_regular, release, require_one_name, take
from recrun.sweep.engines.processes import is_alive

_MAX_HOLDER: Final = 32


def take_lock(path: Path) -> int:
    """Take the lock and return its descriptor.

    The lock belongs to the open file, so it is released when the last process that inherited it ends, however it ends.

    Raises:
        ConfigError: another process holds it, or the file cannot be written.
    """
    try:
        descriptor = take(path, patience=0.0)
    except HeldError:
        holder = _holder(path)
        raise ConfigError(_explain_lock(path.parent, holder)) from None
    except OSError as error:
        raise ConfigError(f"cannot lock the sweep {path.parent}: {error.strerror}") from error
    try:
        require_one_name(descriptor)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError as error:
        release(descriptor)
        raise ConfigError(f"cannot lock the sweep {path.parent}: {error.strerror}") from error
    return descriptor


def _holder(path: Path) -> str:
    try:
        with open_regular(path, follow=False) as file:
            return file.read(_MAX_HOLDER).decode("utf-8", errors="replace").strip()
    except OSError:
        return ""


def _explain_lock(folder: Path, holder: str) -> str:
    if holder.isdecimal() and not is_alive(int(holder)):
        return (
            f"trials of this sweep are still running, but process {holder}, which started them, has ended: {folder}; "
            f"wait for them to end, or stop them ('pgrep -f {folder / 'trials'}' lists them)"
        )
    return f"this sweep is already running (process {holder or 'unknown'}): {folder}; wait for it to end, or stop it"
