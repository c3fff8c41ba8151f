"""Open data files, plain, gzip or Zstandard, and fail if one is cut short."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast

from recrun.data.formats.table import data_error
from recrun.errors import DataError
from recrun.files import open_regular
from recrun.memory import available_memory

BLOCK = 1 << 20
_MAX_RATIO: Final = 100
"""How many times its size a file of real data holds at most; interactions compress to a third or a tenth."""
_MOST_OF_GZIP: Final = 1032
"""How many times its size a gzip file can hold."""
_MEMORY_OF_TEXT: Final = 3
"""How many times its size a text takes while it is read."""


class Compression(NamedTuple):
    """A compression that files may have.

    Args:
        name: for people.
        mark: the first bytes of every such file.
        tool: the command that decompresses one.
    """

    name: str
    mark: bytes
    tool: str


COMPRESSED_WITH: Final = {
    ".gz": Compression("gzip", b"\x1f\x8b", "gunzip"),
    ".zst": Compression("Zstandard", b"\x28\xb5\x2f\xfd", "zstd -d"),
}
"""The compressions by the ending of a file's name."""
COMPRESSIONS: Final = ("", *COMPRESSED_WITH)


def ending_of(path: Path) -> str:
    """Return the extension of a file in small letters, without that of a compression; "" if there is none."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSIONS]
    return suffixes[-1] if suffixes else ""


def check_encoding(path: Path, encoding: str) -> None:
    """Refuse what is not the name of a text encoding.

    Raises:
        DataError: it is none.
    """
    try:
        b"text".decode(encoding, errors="replace")
    except (LookupError, ValueError) as error:
        raise data_error(path, None, f"there is no encoding {encoding!r}") from error


@contextmanager
def open_binary(path: Path, *, ending: str | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading what it holds, decompressed by the ending of its name (.gz, .zst).

    Args:
        path: the file.
        ending: tells the compression instead of the name.

    Raises:
        DataError: the file cannot be read, or is damaged, or holds more than the free memory can and than real data
            does, or nothing here can decompress it.
    """
    ending = path.suffix if ending is None else ending
    try:
        with open_regular(path) as file:
            if ending == ".gz":
                with gzip.GzipFile(fileobj=file) as stream:
                    yield _bounded(path, cast(BinaryIO, stream))
            elif ending == ".zst":
                with _open_zstandard(path, file) as stream:
                    yield _bounded(path, stream)
            else:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise data_error(path, None, _damage(path, ending, error)) from error
    except OSError as error:
        raise data_error(path, None, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # The packages for Zstandard have an error class each, and neither need be installed.
        if type(error).__name__ not in ("ZstdError", "ZstdDecompressionError"):
            raise
        raise data_error(path, None, _damage(path, ending, error)) from error


class _Bounded(io.RawIOBase):
    """Reads a decompressed stream up to a limit, since a few kilobytes can hold more than any memory."""

    def __init__(self, path: Path, stream: BinaryIO, limit: int) -> None:
        self._path, self._stream, self._limit, self._n_read = path, stream, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(len(buffer))
        self._n_read += len(block)
        if self._n_read > self._limit:
            raise too_much(self._path, self._limit, "; is it the right file? If so, decompress it")
        buffer[: len(block)] = block
        return len(block)


def too_much(path: Path, limit: int, remedy: str = "; is it the right file?") -> DataError:
    """Return the error of a file that holds more than `most_bytes`."""
    message = f"holds more than {limit / 1e9:.1f} GB decompressed, over {_MAX_RATIO} times its size, and the free"
    return data_error(path, None, f"{message} memory cannot hold it{remedy}")


def _bounded(path: Path, stream: BinaryIO) -> BinaryIO:
    limit = most_bytes(path)
    return stream if limit is None else cast(BinaryIO, io.BufferedReader(_Bounded(path, stream, limit), BLOCK))


def most_bytes(path: Path) -> int | None:
    """Return how many bytes a compressed file may hold, or None if that is not known.

    Files of real data are never refused, as they do not shrink so far, even if they hold more than the memory: they may
    be read in blocks.
    """
    free = available_memory()
    return None if free is None else max(free // _MEMORY_OF_TEXT, _MAX_RATIO * path.stat().st_size)


def check_expansion(path: Path) -> None:
    """Refuse a compressed file that holds too much, before a library decompresses it without a bound.

    Raises:
        DataError: as for `open_binary`.
    """
    limit = most_bytes(path) if path.suffix in COMPRESSED_WITH else None
    if limit is None or (path.suffix == ".gz" and path.stat().st_size * _MOST_OF_GZIP <= limit):
        return
    with open_binary(path) as stream:
        while stream.read(BLOCK):
            pass


def _damage(path: Path, ending: str, error: Exception) -> str:
    """Return why a file cannot be decompressed: it is not compressed at all, or damaged."""
    compression = COMPRESSED_WITH[ending]
    with open_regular(path) as stream:
        start = stream.read(4)
    if start.startswith(compression.mark):
        return f"the compressed file is damaged or cut short ({error}); copy or download it again"
    if not start:
        return f"is empty, and no {compression.name} file; copy or download it again"
    plain = path.name.removesuffix(ending)
    other = next((known for known in COMPRESSED_WITH if start.startswith(COMPRESSED_WITH[known].mark)), "")
    return f"is not compressed with {compression.name}, as its name says: mv {path.name} {plain}{other}"


def read_binary(path: Path) -> bytes:
    """Return all that a file holds, decompressed."""
    with open_binary(path) as stream:
        return stream.read()


def content_digests(path: Path, algorithms: tuple[str, ...] = ("sha256",), *, ending: str | None = None) -> list[str]:
    """Return hexadecimal digests of what a file holds, decompressed, read in blocks; `ending` as for `open_binary`."""
    digests = [hashlib.new(name, usedforsecurity=False) for name in algorithms]
    with open_binary(path, ending=ending) as stream:
        while block := stream.read(BLOCK):
            for digest in digests:
                digest.update(block)
    return [digest.hexdigest() for digest in digests]


def _open_zstandard(path: Path, file: BinaryIO) -> BinaryIO:
    for module in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            zstandard = importlib.import_module(module)
        except ImportError:
            continue
        stream: BinaryIO = zstandard.open(file, "rb")
        return stream
    message = "nothing here can decompress .zst; pip install recrun[zstd], or decompress it with `zstd -d`"
    raise data_error(path, None, message)
