"""Files written whole or not at all, their digests, and locks between processes."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.02
_LOCKED_BYTE: Final = 1 << 30
"""Windows locks bytes and keeps others from reading them: one that lies behind whatever the file holds."""
_HELD: Final = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)

try:
    import fcntl
except ImportError:  # Windows

    def _request(descriptor: int, *, shared: bool) -> None:
        # There are no shared locks: of two that look at the same instant, one may believe that the lock is held.
        msvcrt = import_module("msvcrt")
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _withdraw(descriptor: int) -> None:
        # Closing the file would do as well, but only some time later.
        msvcrt = import_module("msvcrt")
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    _CAN_OPEN_FOLDERS = False
else:

    def _request(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _withdraw(descriptor: int) -> None:
        """Leave the lock to the closing of the file: processes that inherited the descriptor go on holding it."""

    _CAN_OPEN_FOLDERS = True


class HeldError(Exception):
    """Another process holds the lock."""


def take(path: Path, *, patience: float) -> int:
    """Take a lock for this process and return its descriptor, to be given to `release`.

    On POSIX systems a process that inherits the descriptor holds the lock as well; on Windows it does not. Either way
    the lock of a process that died is free.

    Args:
        path: the file that stands for the lock, made when missing; or a folder, which leaves no file behind (on
            Windows, where folders cannot be opened, `.lock` in it).
        patience: seconds to wait for another process that holds it.

    Raises:
        HeldError: another process still holds it.
        OSError: the file cannot be made, or its file system has no locks.
    """
    descriptor = _open(path)
    try:
        until = time.monotonic() + patience
        while not _try(descriptor):
            if time.monotonic() >= until:
                raise HeldError(str(path))
            time.sleep(_POLL_SECONDS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def release(descriptor: int) -> None:
    """Release a lock that `take` returned."""
    try:
        _withdraw(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def hold(path: Path, *, patience: float) -> Iterator[None]:
    """Hold a lock for this process; arguments and errors are those of `take`."""
    descriptor = take(path, patience=patience)
    try:
        yield
    finally:
        release(descriptor)


def is_held(path: Path) -> bool:
    """Return whether another process holds a lock; False when that cannot be told."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # A shared lock is enough to find out, and lets others find out at the same time.
        if not _try(descriptor, shared=True):
            return True
        _withdraw(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return False


def _open(path: Path) -> int:
    if path.is_dir():
        if _CAN_OPEN_FOLDERS:
            return os.open(path, os.O_RDONLY)
        path = path / ".lock"
    return os.open(path, os.O_CREAT | os.O_RDWR, 0o666)


def _try(descriptor: int, *, shared: bool = False) -> bool:
    try:
        _request(descriptor, shared=shared)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def atomic_write(path: str | Path, content: str | bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file whole or not at all: a temporary file beside it, flushed to disk, then renamed over it.

    Args:
        path: the file.
        content: what it holds, or the pieces of that one after the other.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; an older file is left as it was.
    """
    target = Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    pieces = [content] if isinstance(content, bytes) else content
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a rename itself, so that files written after it cannot outlive it in a power failure.

    Windows opens no folders; there the rename is left to the file system's own journal.
    """
    if not _CAN_OPEN_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what file systems say that cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal, reading it in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
