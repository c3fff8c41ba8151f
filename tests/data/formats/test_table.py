"""Opening files, plain and compressed."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from recrun.data.formats import opening
from recrun.data.formats.opening import content_digests, read_binary
from recrun.errors import DataError

CONTENT = b"1 2 3\r\n\xef\xbb\xbf,\"'\n\n4\t5"


def test_a_digest_is_that_of_the_decompressed_content(tmp_path: Path) -> None:
    for path, content in ((tmp_path / "x", CONTENT), (tmp_path / "x.gz", gzip.compress(CONTENT))):
        path.write_bytes(content)
        digests = content_digests(path, ("sha256", "md5"))
        assert digests == [hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()]


def _zstandard() -> Any:
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def test_a_zstandard_file_reads_as_the_plain_one(tmp_path: Path) -> None:
    (tmp_path / "x.zst").write_bytes(_zstandard().compress(CONTENT))
    assert read_binary(tmp_path / "x.zst") == CONTENT


@pytest.mark.parametrize("damage", ["no frame", "cut short", "flipped"])
def test_a_damaged_zstandard_file_is_refused(tmp_path: Path, damage: str) -> None:
    whole = _zstandard().compress(CONTENT * 50)
    content = {
        "no frame": b"\x28\xb5\x2f\xfd damaged",
        "cut short": whole[:-4],
        "flipped": whole[:6] + b"\xff\xff" + whole[8:],
    }
    (tmp_path / "x.zst").write_bytes(content[damage])
    with pytest.raises(DataError, match=r"x\.zst: the compressed file is damaged or cut short"):
        read_binary(tmp_path / "x.zst")


def test_where_nothing_decompresses_zstandard_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "x.zst").write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"x\.zst: nothing here can decompress \.zst; pip install recrun\[zstd\]"):
        read_binary(tmp_path / "x.zst")


def test_an_error_of_data_has_its_fields_and_says_where() -> None:
    error = DataError("is empty", path=Path("a.csv"), line=3, kind="empty")
    assert (error.message, error.path, error.line, error.kind) == ("is empty", Path("a.csv"), 3, "empty")
    assert str(error) == "a.csv:3: is empty"
    assert str(DataError("is empty", path="a.csv")) == "a.csv: is empty"
    assert str(DataError("no data")) == "no data"


@pytest.mark.parametrize(
    "content",
    [gzip.compress(CONTENT)[:-4], b"\x1f\x8b\x08\x00" + b"\xff" * 40, gzip.compress(CONTENT) + b"more"],
    ids=["cut short", "no deflate stream", "something behind it"],
)
def test_a_damaged_gzip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.gz: the compressed file is damaged or cut short"):
        read_binary(tmp_path / "x.gz")


def test_a_file_that_is_not_there_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing: cannot be read \\(No such file or directory\\)"):
        read_binary(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be read \\(it is not a regular file\\)"):
        read_binary(tmp_path)


def test_all_formats_are_known_without_importing_them() -> None:
    from recrun.registry import FORMATS

    names = {"lightgcn", "sequences", "csv", "tsv", "inter", "udata", "triples", "pairs", "parquet"}
    assert names <= set(FORMATS.names())
    assert opening.COMPRESSIONS == ("", ".gz", ".zst")
