"""Tell by its bytes what kind of file something is, before it is read as a table."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recrun.data.formats.file_kinds import START, kind_of, wide_encoding
from recrun.data.formats.first_lines import LONGEST
from recrun.data.formats.opening import BLOCK, open_binary
from recrun.data.formats.table import data_error

_HEAD: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"


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
        DataError: it cannot be read.
    """
    with open_binary(path, ending="") as stream:
        return kind_of(stream.read(START)).name == "parquet"


def survey(path: Path) -> Survey:
    """Read a text file once, and count the bytes that reveal its layout.

    Raises:
        DataError: it cannot be read, or one of its first two lines is too long.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    head, n_bytes, n_newlines, n_windows, n_returns, n_zeros, is_utf8 = b"", 0, 0, 0, 0, 0, True
    before = b""
    with open_binary(path) as stream:
        while block := stream.read(BLOCK):
            head += block[: (_HEAD if n_newlines > 2 else LONGEST) - len(head)]
            n_bytes += len(block)
            n_newlines += block.count(b"\n")
            n_windows += block.count(b"\r\n") + (before == b"\r" and block[:1] == b"\n")
            n_returns += block.count(b"\r")
            n_zeros += block.count(b"\0")
            if n_bytes >= LONGEST and n_newlines < 2:
                message = f"the line is longer than {LONGEST >> 20} MiB; is this a text of lines?"
                raise data_error(path, n_newlines + 1, message, "not-data")
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
    return Survey(head, n_bytes, n_newlines, n_windows, n_returns - n_windows, n_zeros, is_utf8)


def guess_encoding(path: Path, found: Survey) -> str:
    """Return the encoding of a text.

    Raises:
        DataError: it holds bytes 0 that are none of UTF-16's.
    """
    if found.head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if found.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if found.n_zeros:
        wide = wide_encoding(found.head)
        if wide:
            return wide
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
