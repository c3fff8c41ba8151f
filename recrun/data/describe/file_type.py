"""Tell by its bytes what kind of file something is, before it is read as a table."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recrun.data.formats.opening import BLOCK, open_binary
from recrun.data.formats.table import data_error

_HEAD: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"

_COMPRESSED: Final = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}

_OTHERS: Final = (
    (b"PK\x03\x04", "is a zip archive (or a spreadsheet); unpack it, or save it as csv"),
    (b"BZh", "is compressed with bzip2; unpack it, or compress it with gzip"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it"),
    (b"\x89HDF", "is an HDF5 file; save the table as csv or parquet"),
    (b"\x93NUMPY", "is a numpy array; save it as csv or parquet"),
    (b"ARROW1", "is an Arrow file; save it as parquet"),
    (b"Obj\x01", "is an Avro file; save it as parquet"),
    (b"SQLite format 3", "is a SQLite database; export the table as csv"),
    (b"%PDF", "is a PDF document"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file itself; get it with `git lfs pull`"),
    *(
        (bytes([0x80, protocol]), "looks like a pickle, which recrun never opens; save it as csv")
        for protocol in range(2, 6)
    ),
)
_TEXTS: Final = (
    (("<!doctype", "<html", "<?xml"), "is a web page or XML, not a table; was the download refused?"),
    (('{"', "[{", "{\n", "[\n"), "is JSON; save the table as csv or parquet"),
)


@dataclass(frozen=True)
class Survey:
    """All bytes of a text file, counted.

    Args:
        head: the first bytes, decompressed.
        n_bytes: how many there are, decompressed.
        n_newlines: of all kinds that end a line.
        n_windows: newlines after a carriage return.
        n_returns: carriage returns without a newline.
        n_zeros: bytes 0.
        is_utf8: whether it is UTF-8 throughout.
    """

    head: bytes
    n_bytes: int
    n_newlines: int
    n_windows: int
    n_returns: int
    n_zeros: int
    is_utf8: bool

    @property
    def has_mark(self) -> bool:
        """Whether it begins with the byte order mark of UTF-8."""
        return self.head.startswith(_BOM)

    def lines(self, encoding: str, limit: int = 1000) -> list[str]:
        """Return the first whole lines, without their ends."""
        text = self.head.decode(encoding, errors="replace").removeprefix("\ufeff")
        lines = text.split("\n")
        if self.n_bytes > len(self.head) and len(lines) > 1:
            lines.pop()
        return [line.removesuffix("\r") for line in lines[:limit]]


def is_parquet(path: Path) -> bool:
    """Return whether a file is one of parquet, whatever it is called.

    Raises:
        DataError: it cannot be read, or is compressed under a name that does not say so.
    """
    with open_binary(path, ending="") as stream:
        start = stream.read(8)
    for magic, ending in _COMPRESSED.items():
        if start.startswith(magic) and path.suffix != ending:
            raise data_error(path, None, f"is compressed; call it {path.name}{ending}")
    return start.startswith(b"PAR1")


def survey(path: Path) -> Survey:
    """Read a text file once, and count the bytes that reveal its layout.

    Raises:
        DataError: it cannot be read, is empty, or is no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    head, n_bytes, n_newlines, n_windows, n_returns, n_zeros, is_utf8 = b"", 0, 0, 0, 0, 0, True
    before = b""
    with open_binary(path) as stream:
        while block := stream.read(BLOCK):
            head += block[: _HEAD - len(head)]
            n_bytes += len(block)
            n_newlines += block.count(b"\n")
            n_windows += block.count(b"\r\n") + (before == b"\r" and block[:1] == b"\n")
            n_returns += block.count(b"\r")
            n_zeros += block.count(b"\0")
            if is_utf8:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    is_utf8 = False
            before = block[-1:]
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        is_utf8 = False
    found = Survey(head, n_bytes, n_newlines, n_windows, n_returns - n_windows, n_zeros, is_utf8)
    _refuse_others(path, found)
    return found


def guess_encoding(path: Path, found: Survey) -> str:
    """Return the encoding of a text.

    Raises:
        DataError: it holds bytes 0 that are none of UTF-16's.
    """
    if found.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if found.n_zeros:
        # Every other byte of plain text in UTF-16 is 0: the first of each two, or the second.
        zeros = found.head[::2].count(0), found.head[1::2].count(0)
        if max(zeros) > len(found.head) // 4 and min(zeros) <= max(zeros) // 10:
            return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        line = found.head.partition(b"\0")[0].count(b"\n") + 1
        raise data_error(path, line, "is not text: found a byte 0")
    if found.is_utf8:
        return "utf-8"
    # Latin-1 has control characters where Windows has quotation marks and the like.
    has_windows_marks = any(0x80 <= byte < 0xA0 for byte in found.head)
    try:
        found.head.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252" if has_windows_marks else "latin-1"


def _refuse_others(path: Path, found: Survey) -> None:
    for magic, reason in _OTHERS:
        if found.head.startswith(magic):
            raise data_error(path, None, reason)
    start = found.head[:200].decode("latin-1").removeprefix("ï»¿").lstrip().lower()
    for beginnings, reason in _TEXTS:
        if start.startswith(beginnings):
            raise data_error(path, None, reason)
    if not found.head.removeprefix(_BOM).strip(b" \t\r\n\0"):
        raise data_error(path, None, "is empty", kind="empty")
