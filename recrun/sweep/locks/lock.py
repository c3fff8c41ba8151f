"""Prevent two processes from running one sweep, by a lock and a lease, and explain who runs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError
from recrun.files import NO_LOCKS, HeldError, open_regular, release, require_one_name, take
from recrun.sweep.engines.processes import is_alive
from recrun.sweep.locks.lease import INTERVAL, HeldLease, Say, already_running, read_lease

_MAX_HOLDER: Final = 32


class SweepLock:
    """What a process holds while it runs a sweep: its lock, which the system releases, and its lease.

    The lock ends with the process, at once; but on some network disks other hosts do not see it, and some have none.
    The lease holds on every disk that all hosts see.

    Args:
        folder: the sweep's folder, in which `lock` and `lease.json` are written.
        say: is given a line when taking the sweep over takes some seconds.
        interval: seconds between renewals of the lease.

    Raises:
        ConfigError: another process runs the sweep, or the files cannot be written.
    """

    def __init__(self, folder: Path, *, say: Say | None = None, interval: float = INTERVAL) -> None:
        self.descriptor = _take_lock(folder / "lock")
        try:
            is_locked = self.descriptor is not None
            self._lease = HeldLease(folder, is_locked=is_locked, say=say, interval=interval)
        except BaseException:
            self._release_lock()
            raise

    def check(self) -> None:
        """Raise a LeaseLostError if another process has taken the sweep over, as after this one was suspended."""
        self._lease.check()

    def release(self) -> None:
        """Let other processes run the sweep."""
        self._lease.release()
        self._release_lock()

    def _release_lock(self) -> None:
        if self.descriptor is not None:
            release(self.descriptor)
            self.descriptor = None


def _take_lock(path: Path) -> int | None:
    """Take the lock and return its descriptor, or None if the file system has no locks.

    Raises:
        ConfigError: another process holds it, or the file cannot be written.
    """
    try:
        descriptor = take(path, patience=0.0)
    except HeldError:
        raise ConfigError(_explain_lock(path)) from None
    except OSError as error:
        if error.errno in NO_LOCKS:  # the lease alone is held there
            return None
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


def _explain_lock(path: Path) -> str:
    folder, holder = path.parent, _holder(path)
    try:
        lease = read_lease(folder / "lease.json")
    except OSError:
        lease = None
    # A lease that a killed process left behind says nothing of who holds the lock now.
    if lease is not None and str(lease.pid) == holder:
        return already_running(folder, lease)
    if holder.isdecimal() and not is_alive(int(holder)):
        return (
            f"trials of this sweep are still running, but process {holder}, which started them, has ended: {folder}; "
            f"wait for them to end, or stop them ('pgrep -f {folder / 'trials'}' lists them)"
        )
    return f"this sweep is already running (process {holder or 'unknown'}): {folder}; wait for it to end, or stop it"


def _holder(path: Path) -> str:
    try:
        with open_regular(path, follow=False) as file:
            return file.read(_MAX_HOLDER).decode("utf-8", errors="replace").strip()
    except OSError:
        return ""
