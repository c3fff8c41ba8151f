"""Locks between processes: an open file that one process holds, free again when that process ends, however it ended."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.02


class HeldError(Exception):
    """Another process holds the lock."""


@contextmanager
def hold(path: Path, *, patience: float) -> Iterator[None]:
    """Hold a lock for this process.

    Args:
        path: the file that stands for the lock; made when missing.
        patience: seconds to wait for another process that holds it.

    Raises:
        HeldError: another process still holds it.
        OSError: the file cannot be made, or its file system has no locks.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        until = time.monotonic() + patience
        while not _try(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > until:
                raise HeldError(str(path))
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Return whether another process holds a lock; False when that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # A shared lock is enough to find out, and lets others find out at the same time.
        return not _try(descriptor, fcntl.LOCK_SH)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True
