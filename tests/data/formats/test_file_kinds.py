"""Files that are not what their names say: every reader calls them by name, with the remedy."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recrun.data.datasets import File, LabelledFile
from recrun.data.describe.files import describe_path
from recrun.data.formats.file_kinds import kind_of, wide_encoding
from recrun.errors import DataError

CSV = b"user,item,label\n" + b"".join(b"%d,%d,%d\n" % (i % 7, i, i % 2) for i in range(40))


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            content = b"application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else CSV
            archive.writestr(name, content)
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return out.getvalue()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def database() -> bytes:
    connection = sqlite3.connect(":memory:")
    connection.execute("create table a (user, item)")
    return connection.serialize() if hasattr(connection, "serialize") else b"SQLite format 3\0" + bytes(100)


FRAME = pl.DataFrame({"user": [1], "item": [2]})
KINDS: dict[str, tuple[bytes, str]] = {
    "gzip": (gzip.compress(CSV, mtime=0), "is compressed with gzip, and its name does not say so: mv c.csv c.csv.gz"),
    "zstd": (
        b"\x28\xb5\x2f\xfd rest",
        "is compressed with Zstandard, and its name does not say so: mv c.csv c.csv.zst",
    ),
    "bzip2": (bz2.compress(CSV), "is compressed with bzip2; decompress it: bzip2 -dc c.csv > c.txt"),
    "xz": (lzma.compress(CSV), "is compressed with xz; decompress it: xz -dc c.csv > c.txt"),
    "lz4": (b"\x04\x22\x4d\x18\x64", "is compressed with LZ4; decompress it with `lz4 -d`"),
    "compress": (b"\x1f\x9d\x90abc", "is compressed with `compress`; decompress it: gzip -dc c.csv > c.txt"),
    "zip": (zipped("a.csv"), "is a zip archive; unpack it: unzip c.csv"),
    "empty zip": (zipped(), "is an empty zip archive"),
    "xlsx": (zipped("[Content_Types].xml", "xl/x"), "is an Excel workbook (.xlsx); save the sheet as csv"),
    "ods": (zipped("mimetype"), "is an OpenDocument spreadsheet (.ods); save the sheet as csv"),
    "npz": (
        written(lambda out: np.savez(out, a=np.zeros(1))),
        "is an archive of NumPy arrays; save the table as csv or parquet",
    ),
    "xls": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest",
        "is an old Excel or Office document (.xls); save the sheet as csv",
    ),
    "tar": (tarred(), "is a tar archive; unpack it: tar -xf c.csv"),
    "7z": (b"7z\xbc\xaf\x27\x1c..", "is a 7z archive; unpack it: 7z x c.csv"),
    "rar": (b"Rar!\x1a\x07\x01\x00", "is a RAR archive; unpack it: unrar x c.csv"),
    "pdf": (b"%PDF-1.7\n", "is a PDF document; save the table as csv or parquet"),
    "parquet": (
        written(lambda out: FRAME.write_parquet(out)),
        "is a parquet file; set format=parquet, or call it c.parquet",
    ),
    "arrow": (written(lambda out: FRAME.write_ipc(out)), "is an Arrow (Feather) file; save it as parquet"),
    "arrow stream": (
        written(lambda out: FRAME.write_ipc_stream(out)),
        "looks like a stream of Arrow; save it as parquet",
    ),
    "feather": (b"FEA1....", "is a Feather file; save it as parquet"),
    "hdf5": (b"\x89HDF\r\n\x1a\n...", "is an HDF5 file; save the table as csv or parquet"),
    "numpy": (
        written(lambda out: np.save(out, np.zeros(2))),
        "is a NumPy array; save the table as csv or parquet",
    ),
    "sqlite": (database(), "is a SQLite database; export the table as csv"),
    "avro": (b"Obj\x01\x04", "is an Avro file; save it as parquet"),
    "orc": (b"ORC\x01", "is an ORC file; save it as parquet"),
    "picture": (b"\x89PNG\r\n\x1a\n", "is a picture, not a table"),
    "data of R": (b"RDX3\nX\n", "is a data file of R; save the table as csv or parquet"),
    **{
        f"pickle {protocol}": (
            pickle.dumps([{"user": 1}], protocol),
            "looks like a pickle, which recrun never opens; save the table as csv or parquet",
        )
        for protocol in (0, 2, 3, 4, 5)
    },
    "html": (
        b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>",
        "is a web page, not a table; was the download refused? Download it again",
    ),
    "html without doctype": (
        b"<html lang=en>\n",
        "is a web page, not a table; was the download refused? Download it again",
    ),
    "xml": (
        b"\xef\xbb\xbf<?xml version='1.0'?><Error/>",
        "is XML, not a table; was the download refused? Download it again, or save the table as csv or parquet",
    ),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a pointer of Git LFS, not the file itself; get the file: git lfs pull",
    ),
    "git-annex": (
        b"/annex/objects/SHA256E-s123--abc.csv\n",
        "is a pointer of git-annex, not the file itself; get the file: git annex get c.csv",
    ),
    "json lines": (b'{"user": 1, "item": 2}\n', "holds JSON; set format=jsonl, or call it c.jsonl"),
    "json array": (b'[{"user": 1, "item": 2}]\n', "holds JSON; set format=jsonl, or call it c.jsonl"),
    "python dicts": (b"{u'user': u'x'}\n", "holds Python dicts, one a line; set format=pylines"),
    "zeros": (bytes(5000), "holds nothing but bytes 0; copy or download it again"),
    "empty": (b"", "is empty"),
    "blanks": (b" \r\n\n\t\n", "is empty"),
}
NO_COLUMNS = {
    "parquet": "is a parquet file under another name",
    "json lines": "holds JSON",
    "json array": "holds JSON",
    "python dicts": "holds Python dicts",
}
UTF: dict[str, tuple[bytes, str]] = {
    "utf-16": (CSV.decode().encode("utf-16"), "is UTF-16 text; set encoding=utf-16"),
    "utf-16-be": (b"\xfe\xff" + CSV.decode().encode("utf-16-be"), "is UTF-16 text; set encoding=utf-16"),
    "utf-16 without a mark": (CSV.decode().encode("utf-16-le"), "is UTF-16 text; set encoding=utf-16-le"),
    "utf-32": (CSV.decode().encode("utf-32"), "is UTF-32 text; set encoding=utf-32"),
}


@pytest.mark.parametrize("format", ["csv", "tsv", "lightgcn", "sequences", "pairs", "triples", "inter", "udata"])
@pytest.mark.parametrize("what", [*KINDS, *UTF])
def test_a_file_that_is_something_else_is_called_by_name_by_every_reader(
    tmp_path: Path, what: str, format: str
) -> None:
    content, message = (KINDS | UTF)[what]
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        File(tmp_path, path="c.csv", format=format)
    assert str(caught.value) == f"{tmp_path / 'c.csv'}: {message}"


@pytest.mark.parametrize("what", [*KINDS, *UTF])
def test_labelled_files_and_the_description_say_the_same(tmp_path: Path, what: str) -> None:
    content, message = (KINDS | UTF)[what]
    (tmp_path / "c.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        LabelledFile(tmp_path, path="c.csv", sparse_columns=["user"])
    only = "; labelled rows are read from text in columns and from .parquet files"
    labelled = f"{NO_COLUMNS[what]}{only}" if what in NO_COLUMNS else message
    assert str(caught.value) == f"{tmp_path / 'c.csv'}: {labelled}"
    description = describe_path(tmp_path / "c.csv", {})
    faults = [fault.message for report in description.files for fault in report.faults]
    if what in UTF or what in ("parquet", "json lines", "python dicts"):
        assert description.files[0].sniffed is not None  # which can be read with the settings that are shown
    elif what == "json array":
        assert not description.is_usable
    else:
        assert (faults, description.is_usable) == ([message], False)


@pytest.mark.parametrize("what", KINDS)
def test_what_is_within_a_compressed_file_is_called_by_name_too(tmp_path: Path, what: str) -> None:
    content, message = KINDS[what]
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(content, mtime=0))
    if what in ("gzip", "zstd"):
        message = "is compressed twice; decompress it once: gunzip c.csv.gz"
    with pytest.raises(DataError) as caught:
        File(tmp_path, path="c.csv.gz")
    assert (
        str(caught.value) == f"{tmp_path / 'c.csv.gz'}: {message.replace('c.csv', 'c.csv.gz').replace('.gz.gz', '.gz')}"
    )


@pytest.mark.parametrize("what", [*KINDS, "csv"])
def test_what_is_called_parquet_and_is_not_is_called_by_name(tmp_path: Path, what: str) -> None:
    content, message = (KINDS | {"csv": (CSV, "it may be text, csv for example; call it so, or set format")})[what]
    path = tmp_path / "c.parquet"
    path.write_bytes(content)
    if what == "parquet":
        assert len(File(tmp_path, path="c.parquet", valid_ratio=0, test_ratio=0.4).interactions("train")) == 1
        return
    with pytest.raises(DataError) as caught:
        File(tmp_path, path="c.parquet")
    if what not in ("empty", "blanks"):
        assert str(caught.value) == f"{path}: is not a parquet file: {message.replace('c.csv', 'c.parquet')}"


def test_a_parquet_file_that_is_compressed_as_a_whole_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.parquet.gz").write_bytes(gzip.compress(KINDS["parquet"][0], mtime=0))
    with pytest.raises(
        DataError, match=r"is compressed as a whole, which parquet files are not here; .* gunzip c\.par"
    ):
        File(tmp_path, path="c.parquet.gz")


@pytest.mark.parametrize(
    ("content", "ending", "message"),
    [
        (CSV, ".gz", "is not compressed with gzip, as its name says: mv c.csv.gz c.csv"),
        (CSV, ".zst", "is not compressed with Zstandard, as its name says: mv c.csv.zst c.csv"),
        (
            gzip.compress(CSV, mtime=0),
            ".zst",
            "is not compressed with Zstandard, as its name says: mv c.csv.zst c.csv.gz",
        ),
        (KINDS["zstd"][0], ".gz", "is not compressed with gzip, as its name says: mv c.csv.gz c.csv.zst"),
        (gzip.compress(CSV * 50, mtime=0)[:-20], ".gz", "the compressed file is damaged or cut short"),
        (gzip.compress(CSV, mtime=0)[:5], ".gz", "the compressed file is damaged or cut short"),
        (gzip.compress(CSV, mtime=0) + b"junk", ".gz", "the compressed file is damaged or cut short"),
    ],
)
def test_a_name_that_promises_another_compression_is_refused(
    tmp_path: Path, content: bytes, ending: str, message: str
) -> None:
    path = tmp_path / f"c.csv{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        File(tmp_path, path=path.name)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_several_gzip_streams_one_after_the_other_are_one_text(tmp_path: Path) -> None:
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(CSV[:100], mtime=0) + gzip.compress(CSV[100:]))
    assert sum(len(File(tmp_path, path="c.csv.gz").interactions(part)) for part in ("train", "valid", "test")) == 40


@pytest.mark.parametrize(
    "start",
    [
        CSV[:50],
        b"BZh,1\n",
        b"PK,item\n",
        b"[user],[item]\n1,2\n",
        b"<user>,<item>\n",
        b"ustar,item\n",
        b"GIF,x\n",
        b"{a},b",
    ],
)
def test_tables_are_taken_for_nothing_else(start: bytes) -> None:
    assert kind_of(start).name == ""
    assert wide_encoding(start) == ""
