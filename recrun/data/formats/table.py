"""What every file format gives back, and how files are opened: plain, gzip or Zstandard, never half read in silence."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recrun.errors import DataError

COMPRESSIONS = ("", ".gz", ".zst")
BLOCK = 1 << 20
MAX_ID_LENGTH = 512


@dataclass(frozen=True, eq=False)
class Ids:
    """A column of original ids: `names[codes[i]]` is the id in row i.

    Args:
        codes: int32 (N,).
        names: the distinct ids in ascending order, int64 or text (n,).
    """

    codes: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Ids:
        """Code a column of integers >= 0 or of text, shape (N,)."""
        if values.dtype.kind in "iu":
            return cls.of_integers(values.astype(np.int64, copy=False))
        names, codes = np.unique(values.astype(np.str_), return_inverse=True)
        return cls(codes.astype(np.int32), names)

    @classmethod
    def of_integers(cls, values: np.ndarray) -> Ids:
        """Code a column of integers >= 0, shape (N,)."""
        if not len(values):
            return cls(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))
        top = int(values.max())
        if top > 4 * len(values) + (1 << 20):
            names, codes = np.unique(values, return_inverse=True)
            return cls(codes.astype(np.int32), names.astype(np.int64))
        # Ids that are dense enough are coded through a table, in linear time.
        seen = np.zeros(top + 1, dtype=bool)
        seen[values] = True
        table = np.cumsum(seen, dtype=np.int32)
        table -= 1
        return cls(table[values], np.flatnonzero(seen).astype(np.int64))

    @property
    def are_integers(self) -> bool:
        """Whether the ids are numbers rather than text."""
        return self.names.dtype.kind == "i"


@dataclass(frozen=True, eq=False)
class Table:
    """The interactions of one file, in its order.

    Args:
        path: the file, for messages.
        users: original user ids (N,).
        items: original item ids (N,).
        columns: other columns (N,): "rating" and "weight" float32, "timestamp" int64 or float64.
        line_of: the 1-based line (of a parquet file: row) that row i of the table came from.
        time_is_order: "timestamp" only counts a user's interactions, so that times of two users do not compare.
        time_is_date: "timestamp" was written as dates, and counts the seconds since 1970.
        notes: what a user should know about how the file was read.
    """

    path: Path
    users: Ids
    items: Ids
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    line_of: Callable[[int], int] = lambda row: row + 1
    time_is_order: bool = False
    time_is_date: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, columns: dict[str, np.ndarray] | None = None, path: str = "data"
    ) -> Table:
        """Make a table of columns of original ids, integers >= 0 or text, each of shape (N,)."""
        return cls(Path(path), Ids.of(users), Ids.of(items), dict(columns or {}))

    def __len__(self) -> int:
        return len(self.users.codes)


@dataclass(frozen=True)
class Layout:
    """What a user says about a file; None is left to the file.

    Args:
        separator: what stands between two columns.
        header: whether the first line holds the columns' names.
        encoding: of the text.
        user_column: name of the column of user ids (of a file without header: its number, from 1).
        item_column: of item ids.
        rating_column: of ratings.
        time_column: of timestamps.
    """

    separator: str | None = None
    header: bool | None = None
    encoding: str = "utf-8"
    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    time_column: str | None = None


def data_error(path: Path, line: int | None, message: str, kind: str = "") -> DataError:
    """Return the error for a fault at a line of a file."""
    return DataError(message, path=path, line=line, kind=kind)


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
        DataError: the file cannot be read, or is damaged, or nothing here can decompress it.
    """
    ending = path.suffix if ending is None else ending
    try:
        if ending == ".gz":
            with gzip.open(path, "rb") as stream:
                yield stream  # type: ignore[misc]
        elif ending == ".zst":
            with _open_zstandard(path) as stream:
                yield stream
        else:
            with path.open("rb") as stream:
                yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise data_error(path, None, f"the compressed file is damaged or cut short ({error})") from error
    except OSError as error:
        raise data_error(path, None, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # The packages for Zstandard have an error class each, and neither need be installed.
        if type(error).__name__ not in ("ZstdError", "ZstdDecompressionError"):
            raise
        raise data_error(path, None, f"the compressed file is damaged or cut short ({error})") from error


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


def _open_zstandard(path: Path) -> BinaryIO:
    for module in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            zstandard = importlib.import_module(module)
        except ImportError:
            continue
        stream: BinaryIO = zstandard.open(path, "rb")
        return stream
    message = "nothing here can decompress .zst; pip install recrun[zstd], or decompress it with `zstd -d`"
    raise data_error(path, None, message)
