"""Write files atomically, read regular files only, write and read JSON, compute digests, and hold locks."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Final

_POLL_SECONDS: Final = 0.02
_BLOCK: Final = 1 << 20
_LOCKED_BYTE: Final = 1 << 30
"""The byte that is locked on Windows, where locked bytes cannot be read: it lies beyond the content of any file."""
_WITHOUT_WAITING: Final = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
"""Opening a FIFO does not wait for its other end, and opening a terminal does not make it the process's own."""
_OPEN_TO_READ: Final = os.O_RDONLY | _WITHOUT_WAITING
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_HELD: Final = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
NO_LOCKS: Final = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of file systems that have no locks."""

try:
    import fcntl
except ImportError:  # Windows

    def _request(descriptor: int, *, shared: bool) -> None:
        # Windows has no shared locks: of two processes that check at the same moment, one may find the lock held.
        msvcrt = import_module("msvcrt")
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _withdraw(descriptor: int) -> None:
        # Closing the file would release the lock as well, but possibly later.
        msvcrt = import_module("msvcrt")
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    _CAN_OPEN_FOLDERS = False
else:

    def _request(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    def _withdraw(descriptor: int) -> None:
        """Do nothing: closing the file releases the lock, unless another process inherited the descriptor."""

    _CAN_OPEN_FOLDERS = True


class HeldError(Exception):
    """Another process holds the lock."""


def take(path: Path, *, patience: float) -> int:
    """Take a lock for this process and return its descriptor, to be passed to `release`.

    On POSIX systems, a process that inherits the descriptor holds the lock as well; on Windows it does not. Either way,
    the lock is released when its processes die.

    Args:
        path: the lock file, which is created if missing and may not be a link; or a folder, which is locked itself (on
            Windows, where folders cannot be opened, through a file `.lock` in it).
        patience: seconds to wait while another process holds the lock.

    Raises:
        HeldError: another process still holds it.
        OSError: the file cannot be created, or its file system does not support locks.
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
    """Hold a lock for this process; arguments and errors as for `take`."""
    descriptor = take(path, patience=patience)
    try:
        yield
    finally:
        release(descriptor)


def is_held(path: Path) -> bool:
    """Return whether another process holds a lock; False if that cannot be determined."""
    try:
        descriptor = os.open(path, _OPEN_TO_READ | _NO_LINK)
    except OSError:
        return False
    try:
        # A shared lock is enough to find out, and lets other processes check at the same time.
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
    return _open_regular(path, os.O_CREAT | os.O_RDWR | _WITHOUT_WAITING | _NO_LINK)[0]


def _try(descriptor: int, *, shared: bool = False) -> bool:
    try:
        _request(descriptor, shared=shared)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def atomic_write(path: str | Path, content: str | bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file atomically: to a temporary file in the same folder, flushed to disk, then renamed.

    Args:
        path: the file.
        content: its content, or the pieces of it in order.

    Raises:
        OSError: the folder is missing or cannot be written, or the disk is full; an existing file is left unchanged.
    """
    import tempfile

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


def open_regular(path: str | Path, *, limit: int | None = None, follow: bool = True) -> BinaryIO:
    """Open a regular file to read its bytes; a FIFO, device or folder in its place is refused without waiting for it.

    Args:
        path: the file.
        limit: the most bytes that it may have; None for any number.
        follow: whether the file itself may be a symbolic link.

    Raises:
        OSError: it cannot be opened, is not a regular file, or is too large; `strerror` says which.
    """
    descriptor, _ = _open_regular(path, _OPEN_TO_READ | (0 if follow else _NO_LINK), limit)
    return os.fdopen(descriptor, "rb")


def open_to_append(path: str | Path) -> BinaryIO:
    """Open a file, created if missing, to add bytes at its end; a link (a hard one too), FIFO or device is refused.

    Raises:
        OSError: it cannot be opened, or is not a regular file with one name; `strerror` says which.
    """
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | _WITHOUT_WAITING | _NO_LINK
    file = os.fdopen(_open_regular(path, flags)[0], "ab")
    try:
        require_one_name(file.fileno())
    except BaseException:
        file.close()
        raise
    return file


def require_one_name(descriptor: int) -> None:
    """Refuse to write into a file that has another name elsewhere, by a hard link, and would change there as well.

    Raises:
        OSError: it has.
    """
    if os.fstat(descriptor).st_nlink > 1:
        raise OSError(errno.EMLINK, "it has another name elsewhere, by a hard link")


def _open_regular(path: str | Path, flags: int, limit: int | None = None) -> tuple[int, int]:
    """Return the descriptor of a regular file, and its bytes."""
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if flags & _NO_LINK and os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(errno.EINVAL, "it is not a regular file", str(path)) from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if limit is not None and found.st_size > limit:
            raise OSError(errno.EFBIG, f"it has {found.st_size:,} bytes, and at most {limit:,} are read", str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def read_regular(path: str | Path, *, limit: int, follow: bool = True) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; arguments and errors as for `open_regular`."""
    descriptor, size = _open_regular(path, _OPEN_TO_READ | (0 if follow else _NO_LINK), limit)
    try:
        # A file of /proc has no size, and others may grow.
        content = os.read(descriptor, min(size + 1 if size else _BLOCK, _BLOCK, limit + 1))
        if size and len(content) == size:  # asking again would take as long as reading a small file
            return content
        while len(content) <= limit and (block := os.read(descriptor, min(_BLOCK, limit + 1 - len(content)))):
            content += block
    finally:
        os.close(descriptor)
    if len(content) > limit:  # it grew in between, or is one of /proc, whose sizes are 0
        raise OSError(errno.EFBIG, f"at most {limit:,} bytes are read", str(path))
    return content


def to_json(document: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return a document as JSON, with unrounded numbers.

    Args:
        document: what to write.
        indent: spaces for each level; None for a single line.
        default: turns what JSON does not know into something that it does.

    Raises:
        ValueError: a number is NaN or infinite, which is not JSON.
    """
    return json.dumps(document, indent=indent, default=default, allow_nan=False)


def from_json(text: str) -> Any:
    """Return the document that a JSON text holds.

    Raises:
        ValueError: it is not JSON, as with a number that is NaN or infinite, or an integer has thousands of digits.
    """
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        raise ValueError("it holds an integer of thousands of digits") from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {text}, and JSON has finite numbers only")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def sync_folder(folder: Path) -> None:
    """Flush a rename to disk, so that a power failure cannot undo it and keep files that were written later.

    On Windows, where folders cannot be opened, this is left to the file system's journal.
    """
    if not _CAN_OPEN_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # the file system cannot flush folders
            raise
    finally:
        os.close(descriptor)


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a regular file in hexadecimal, reading it in blocks."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
