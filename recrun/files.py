"""Files written whole or not at all, their digests, and locks between processes."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
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
