"""Taking single files out of an archive that nobody can vouch for.

An archive never says where anything is written: the caller names the members it wants and the files they go to. Even
so, one in which anything points outside of itself is refused as a whole, and nothing is written beyond a bound.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from recrun.errors import DownloadError

MAX_ENTRIES: Final = 100_000
_MAX_HEADER: Final = 1 << 20
"""Bytes of a long name in a tar archive, or of whatever else it says about a member."""
_BLOCK: Final = 1 << 16


def unpack(archive: Path, wanted: Mapping[str, Path], *, max_bytes: int) -> list[str]:
    """Write members of a zip or tar archive (plain, gzip, bzip2, xz) to files, and return those that it holds.

    Args:
        archive: the archive; its content tells its kind.
        wanted: the file for each member wanted, by the member's name.
        max_bytes: the largest size of one member, and of all that a tar archive holds.

    Raises:
        DownloadError: it is no such archive or damaged; an entry leads out, is a link or a device, or comes
            twice; it holds too many or too much.
    """
    with _explained(archive):
        if zipfile.is_zipfile(archive):
            return _unpack_zip(archive, wanted, max_bytes)
        return _unpack_tar(archive, wanted, max_bytes)


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DownloadError(f"{archive}: not an archive that can be unpacked, or damaged ({error})") from error
    except OSError as error:
        raise DownloadError(f"{archive}: cannot be unpacked ({error.strerror or error})") from error


def _unpack_zip(archive: Path, wanted: Mapping[str, Path], max_bytes: int) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        names = _Names(archive, wanted)
        for entry in entries:
            names.check(entry.orig_filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _hostile(archive, entry.filename, "is a link or a device")
        found = [entry for entry in entries if entry.filename in wanted and not entry.is_dir()]
        for entry in found:
            if entry.flag_bits & 1:
                raise _hostile(archive, entry.filename, "is encrypted")
            if entry.file_size > max_bytes:
                raise _too_large(archive, entry.filename, max_bytes)
            with opened.open(entry) as stream:
                _copy(archive, entry.filename, stream, wanted[entry.filename], max_bytes)
    return [entry.filename for entry in found]


class _Header(tarfile.TarInfo):
    """A tar header that cannot ask for unbounded memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type not in tarfile.REGULAR_TYPES and info.size > _MAX_HEADER):
            raise tarfile.ReadError("more than a million characters are said about an entry")
        return info


def _unpack_tar(archive: Path, wanted: Mapping[str, Path], max_bytes: int) -> list[str]:
    names, found, total = _Names(archive, wanted), [], 0
    with tarfile.open(archive, "r|*", tarinfo=_Header) as opened:
        for entry in opened:
            names.check(entry.name)
            if not (entry.isreg() or entry.isdir()) or entry.issparse():
                raise _hostile(archive, entry.name, "is a link, a device, or full of holes")
            total += entry.size
            if total > max_bytes:
                raise _too_large(archive, entry.name, max_bytes)
            stream = opened.extractfile(entry) if entry.name in wanted else None
            if stream is not None:
                _copy(archive, entry.name, stream, wanted[entry.name], max_bytes)
                found.append(entry.name)
    return found


class _Names:
    """The names of an archive's entries so far."""

    def __init__(self, archive: Path, wanted: Mapping[str, Path]) -> None:
        self._archive = archive
        self._wanted = wanted
        self._met: set[str] = set()
        self._n_entries = 0

    def check(self, name: str) -> None:
        """Refuse an entry that leads out of the archive, or is the second of a name that is wanted."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
            raise _hostile(self._archive, name, "leads out of the archive")
        if name in self._met:
            raise _hostile(self._archive, name, "is there twice")
        if name in self._wanted:
            self._met.add(name)
        self._n_entries += 1
        if self._n_entries > MAX_ENTRIES:
            raise DownloadError(f"{self._archive}: holds more than {MAX_ENTRIES:,} entries")


def _copy(archive: Path, name: str, stream: IO[bytes], target: Path, max_bytes: int) -> None:
    n_bytes = 0
    with target.open("wb") as file:
        while block := stream.read(_BLOCK):
            n_bytes += len(block)
            if n_bytes > max_bytes:
                raise _too_large(archive, name, max_bytes)
            file.write(block)


def _hostile(archive: Path, name: str, reason: str) -> DownloadError:
    return DownloadError(f"{archive}: refused, because its entry {name[:80]!r} {reason}")


def _too_large(archive: Path, name: str, max_bytes: int) -> DownloadError:
    return DownloadError(f"{archive}: {name[:80]!r} holds more than {max_bytes:,} bytes")
