"""Tell by its first bytes what kind of file something is, and refuse by name what a reader cannot read."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Final, NamedTuple

from recrun.data.formats.opening import COMPRESSED_WITH, open_binary
from recrun.data.formats.table import data_error

START: Final = 1 << 12
"""Bytes from which a kind is told."""
_BOM: Final = b"\xef\xbb\xbf"
_EXPORT: Final = "save the table as csv or parquet"
_DOWNLOAD: Final = "was the download refused? Download it again"


class Kind(NamedTuple):
    """A kind of file.

    Args:
        name: its short name; "" for text that may be a table.
        what: what the file is, and what to do; `{name}` stands for the file's name.
    """

    name: str
    what: str


_TEXT: Final = Kind("", "")
_KINDS: Final = (
    (b"\x1f\x8b", Kind("gzip", "is compressed with gzip, and its name does not say so: mv {name} {name}.gz")),
    (
        b"\x28\xb5\x2f\xfd",
        Kind("zstd", "is compressed with Zstandard, and its name does not say so: mv {name} {name}.zst"),
    ),
    (b"PK\x05\x06", Kind("zip", "is an empty zip archive")),
    (b"\xfd7zXZ\0", Kind("xz", "is compressed with xz; decompress it: xz -dc {name} > {stem}.txt")),
    (b"\x04\x22\x4d\x18", Kind("lz4", "is compressed with LZ4; decompress it with `lz4 -d`")),
    (b"\x1f\x9d", Kind("compress", "is compressed with `compress`; decompress it: gzip -dc {name} > {stem}.txt")),
    (b"7z\xbc\xaf\x27\x1c", Kind("7z", "is a 7z archive; unpack it: 7z x {name}")),
    (b"Rar!\x1a\x07", Kind("rar", "is a RAR archive; unpack it: unrar x {name}")),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Kind("xls", "is an old Excel or Office document (.xls); save the sheet as csv"),
    ),
    (b"%PDF-", Kind("pdf", f"is a PDF document; {_EXPORT}")),
    (b"PAR1", Kind("parquet", "is a parquet file; set format=parquet, or call it {stem}.parquet")),
    (b"PARE", Kind("parquet", "is an encrypted parquet file; write it without encryption")),
    (b"ARROW1", Kind("arrow", "is an Arrow (Feather) file; save it as parquet")),
    (b"FEA1", Kind("feather", "is a Feather file; save it as parquet")),
    (b"\xff\xff\xff\xff", Kind("arrow", "looks like a stream of Arrow; save it as parquet")),
    (b"\x89HDF\r\n\x1a\n", Kind("hdf5", f"is an HDF5 file; {_EXPORT}")),
    (b"\x93NUMPY", Kind("numpy", f"is a NumPy array; {_EXPORT}")),
    (b"Obj\x01", Kind("avro", "is an Avro file; save it as parquet")),
    (b"ORC", Kind("orc", "is an ORC file; save it as parquet")),
    (b"SQLite format 3\0", Kind("sqlite", "is a SQLite database; export the table as csv")),
    (b"MATLAB 5.0 MAT-file", Kind("matlab", f"is a MATLAB file; {_EXPORT}")),
    *((mark, Kind("r", f"is a data file of R; {_EXPORT}")) for mark in (b"RDX2\n", b"RDX3\n", b"RDA3\n", b"X\n\0\0")),
    *((mark, Kind("image", "is a picture, not a table")) for mark in (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8")),
    *(
        (mark, Kind("pickle", f"looks like a pickle, which recrun never opens; {_EXPORT}"))
        for mark in (
            *(bytes([0x80, n]) for n in range(2, 6)),
            b"(lp0\n",
            b"(dp0\n",
            b"ccopy_reg\n",
            b"cnumpy",
            b"cpandas",
        )
    ),
    (
        b"version https://git-lfs",
        Kind("git-lfs", "is a pointer of Git LFS, not the file itself; get the file: git lfs pull"),
    ),
    (
        b"/annex/objects/",
        Kind("git-annex", "is a pointer of git-annex, not the file itself; get the file: git annex get {name}"),
    ),
    (codecs.BOM_UTF32_LE, Kind("utf-32", "is UTF-32 text; set encoding=utf-32")),
    (codecs.BOM_UTF32_BE, Kind("utf-32", "is UTF-32 text; set encoding=utf-32")),
    (codecs.BOM_UTF16_LE, Kind("utf-16", "is UTF-16 text; set encoding=utf-16")),
    (codecs.BOM_UTF16_BE, Kind("utf-16", "is UTF-16 text; set encoding=utf-16")),
)
_JSON_LINES: Final = Kind("jsonl", "holds JSON; set format=jsonl, or call it {stem}.jsonl")
_PYTHON_LINES: Final = Kind("pylines", "holds Python dicts, one a line; set format=pylines")
_HTML: Final = Kind("html", f"is a web page, not a table; {_DOWNLOAD}")
_XML: Final = Kind("xml", f"is XML, not a table; {_DOWNLOAD}, or {_EXPORT}")
_NETFLIX: Final = Kind("netflix", "holds blocks of ratings, as the Netflix Prize does; set format=netflix")
_MIND: Final = Kind("mind", "holds impressions, as behaviors.tsv of MIND does; set format=mind")
_NOTHING: Final = Kind("zeros", "holds nothing but bytes 0; copy or download it again")


def kind_of(start: bytes) -> Kind:
    """Return the kind of a file.

    Args:
        start: its first `START` bytes, decompressed.
    """
    if start[:2] == b"PK" and start[2:4] in (b"\x03\x04", b"\x07\x08"):
        return _kind_of_zip(start)
    if start[:3] == b"BZh" and start[4:10] == b"1AY&SY":
        return Kind("bzip2", "is compressed with bzip2; decompress it: bzip2 -dc {name} > {stem}.txt")
    if start[257:262] == b"ustar":
        return Kind("tar", "is a tar archive; unpack it: tar -xf {name}")
    found = next((kind for mark, kind in _KINDS if start.startswith(mark)), None)
    if found is not None:
        return found
    if start and not start.strip(b"\0"):
        return _NOTHING
    wide = wide_encoding(start)
    return Kind("utf-16", f"is UTF-16 text; set encoding={wide}") if wide else _kind_of_text(start)


def wide_encoding(start: bytes) -> str:
    """Return the encoding of text in which every other byte is 0, "utf-16-le" or "utf-16-be", or "" for all else."""
    # Plain text in UTF-16 has a 0 as the first of each two bytes, or as the second.
    zeros = start[::2].count(0), start[1::2].count(0)
    if max(zeros) > len(start) // 4 and min(zeros) <= max(zeros) // 10:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return ""


def _kind_of_zip(start: bytes) -> Kind:
    if any(part in start for part in (b"[Content_Types].xml", b"_rels/.rels", b"xl/", b"docProps/")):
        return Kind("xlsx", "is an Excel workbook (.xlsx); save the sheet as csv")
    if start[30:].startswith(b"mimetypeapplication/vnd.oasis.opendocument"):
        return Kind("ods", "is an OpenDocument spreadsheet (.ods); save the sheet as csv")
    if b".npy" in start[:200]:
        return Kind("npz", f"is an archive of NumPy arrays; {_EXPORT}")
    if b"/data.pkl" in start[:200]:
        return Kind("pickle", f"is a checkpoint of torch, not a table; {_EXPORT}")
    return Kind("zip", "is a zip archive; unpack it: unzip {name}")


def _kind_of_text(start: bytes) -> Kind:
    text = start.removeprefix(_BOM).lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")):
        return _HTML
    if text.startswith((b"<?xml", b"<!doctype", b"<rss", b"<soap")):
        return _XML
    if re.match(rb"\{\s*u?'", text):
        return _PYTHON_LINES
    if re.match(rb"""\{\s*("|\}\s*(\n|$)|$)|\[\s*([\[{]|\n|$)""", text):
        return _JSON_LINES
    if re.match(rb"\d+:\s*\n\d+,[\d.]+,\d", text):
        return _NETFLIX
    if re.match(rb"\d+\t[^\t\n]+\t\d+/\d+/\d{4} \d+:\d\d:\d\d [ap]m\t[^\t\n]*(\t\S+-[01]\b|\Z)", text):
        return _MIND
    return _TEXT


def read_start(path: Path) -> bytes:
    """Return the first `START` bytes of a file, decompressed.

    Raises:
        DataError: it cannot be read, or its name tells a compression that it does not have.
    """
    with open_binary(path) as stream:
        return stream.read(START)


def refuse_other_kinds(path: Path, encoding: str = "utf-8", *, reads: tuple[str, ...] = ()) -> None:
    """Refuse a file that is no text in the encoding, or of a kind that its reader does not read.

    Args:
        path: the file.
        encoding: of the text, as it is set; what is set is not doubted.
        reads: names of the kinds that are read.

    Raises:
        DataError: it is empty, or something else; the message says what, and what to do.
    """
    start = read_start(path)
    if not start.removeprefix(_BOM).strip(b" \t\r\n"):
        with open_binary(path) as stream:
            if not any(block.strip(b" \t\r\n") for block in iter(lambda: stream.read(1 << 20), b"")):
                raise data_error(path, None, "is empty", kind="empty")
    kind = kind_of(start)
    is_wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32", "utf16", "utf32"))
    if kind.name in ("utf-16", "utf-32") and is_wide:
        kind = _kind_of_text(start.decode(encoding, errors="replace").encode())
    if kind.name and kind.name not in reads:
        raise data_error(path, None, said_of(path, kind), kind="not-data")


def refuse_unless(path: Path, expected: str) -> None:
    """Refuse a file that is not of one kind, read as it is, whatever its name says.

    Raises:
        DataError: it is something else; the message says what, if that is known.
    """
    with open_binary(path, ending="") as stream:
        kind = kind_of(stream.read(START))
    if kind.name == expected and not kind.what.startswith("is an encrypted"):
        return
    if kind.name in ("gzip", "zstd") and path.suffix in COMPRESSED_WITH:
        tool = {"gzip": "gunzip", "zstd": "zstd -d"}[kind.name]
        message = f"is compressed as a whole, which {expected} files are not here; decompress it: {tool} {path.name}"
        raise data_error(path, None, message, kind="not-data")
    found = said_of(path, kind) if kind.name else "it may be text, csv for example; call it so, or set format"
    raise data_error(path, None, f"is not a {expected} file: {found}", kind="not-data")


def said_of(path: Path, kind: Kind) -> str:
    """Return what a message says of a file of some kind."""
    if kind.name in ("gzip", "zstd") and path.suffix in COMPRESSED_WITH:
        return f"is compressed twice; decompress it once: {COMPRESSED_WITH[path.suffix].tool} {path.name}"
    stem = path.name.removesuffix(path.suffix if path.suffix in COMPRESSED_WITH else "").partition(".")[0]
    return kind.what.format(name=path.name, stem=stem or path.name)
