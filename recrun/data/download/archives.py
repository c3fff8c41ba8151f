"""Extract named files from a zip or tar archive.

The archive is not trusted. The caller names the members and the files they are written to, so no name or link in the
archive decides where anything goes, and nothing is read or written beyond a bound.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from recrun.errors import DownloadError

_MAX_HEADER: Final = 1 << 20
"""Bytes of a tar archive's long names and extended headers, which tarfile reads into memory."""
_BLOCK: Final = 1 << 16
_DAMAGED: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
    RecursionError,
)
"""What zipfile and tarfile raise for a damaged archive, or one compressed in a way they do not know."""


def unpack(archive: Path, wanted: Mapping[str, Path], *, max_bytes: int) -> list[str]:
    """Write members of a zip or tar archive (plain, gzip, bzip2, xz) to files, and return the names of those found.

    Args:
        archive: the archive; its content tells its kind.
        wanted: the file for each member, by the member's name; other members are ignored.
        max_bytes: the largest size of one member, and of everything in a tar archive.

    Raises:
        DownloadError: it is not such an archive, or damaged; a wanted member is not a regular file, or encrypted; it
            holds too much.
        OSError: a file cannot be written.
    """
    found = []
    try:
        for name, stream in _members(archive, wanted, max_bytes):
            with wanted[name].open("wb") as file:
                while block := stream.read(_BLOCK):
                    if file.tell() + len(block) > max_bytes:
                        raise _too_large(archive, name, max_bytes)
                    file.write(block)
            found.append(name)
    except _DAMAGED as error:
        raise DownloadError(f"{archive}: not a zip or tar archive, or damaged ({error})") from error
    return found


def _members(archive: Path, wanted: Mapping[str, Path], max_bytes: int) -> Iterator[tuple[str, IO[bytes]]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if entry.filename in wanted:
                    is_encrypted, kind = entry.flag_bits & 1, stat.S_IFMT(entry.external_attr >> 16)
                    if is_encrypted or kind not in (0, stat.S_IFREG):
                        raise _unusable(archive, entry.filename)
                    with opened.open(entry) as stream:
                        yield entry.filename, stream
        return
    n_bytes = 0
    with tarfile.open(archive, "r|*", tarinfo=_Header) as tar:
        for info in tar:
            n_bytes += info.size + tarfile.BLOCKSIZE
            if n_bytes > max_bytes:
                raise _too_large(archive, info.name, max_bytes)
            if info.name in wanted:
                content = tar.extractfile(info) if info.isreg() and not info.issparse() else None
                if content is None:
                    raise _unusable(archive, info.name)
                yield info.name, content


class _Header(tarfile.TarInfo):
    """A tar header that cannot ask for unbounded memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        info = super().frombuf(buf, encoding, errors)
        if info.size < 0 or (info.type not in tarfile.REGULAR_TYPES and info.size > _MAX_HEADER):
            raise tarfile.ReadError(f"a header holds more than {_MAX_HEADER:,} bytes")
        return info


def _unusable(archive: Path, name: str) -> DownloadError:
    return DownloadError(f"{archive}: its member {name!r} is encrypted or not a regular file")


def _too_large(archive: Path, name: str, max_bytes: int) -> DownloadError:
    return DownloadError(f"{archive}: {name[:80]!r} holds more than {max_bytes:,} bytes")
