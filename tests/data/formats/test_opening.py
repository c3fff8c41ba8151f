"""Opening data files: regular ones only, and decompressed no further than memory reaches."""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.data.formats import opening
from recrun.data.formats.opening import content_digests, open_binary, read_binary
from recrun.errors import DataError


@pytest.fixture
def _little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "available_memory", lambda: 3_000_000)


def _zstandard(content: bytes) -> bytes:
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            return bytes(importlib.import_module(name).compress(content))
        except ImportError:
            continue
    pytest.skip("nothing here can compress .zst")


@pytest.mark.usefixtures("_little_memory")
@pytest.mark.parametrize(("ending", "compress"), [(".gz", gzip.compress), (".zst", _zstandard)])
def test_a_small_file_that_holds_more_than_the_free_memory_is_refused(
    tmp_path: Path, ending: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"log.csv{ending}"
    path.write_bytes(compress(b"1,2\n" * 700_000))
    assert len(read_binary(path)) == 2_800_000
    path.write_bytes(compress(b"1,2\n" * 800_000))
    for read in (read_binary, content_digests):
        with pytest.raises(DataError, match=r"more than 0\.0 GB decompressed, which is all the memory that is free"):
            read(path)
    with open_binary(path) as stream:
        assert stream.readline() == b"1,2\n"


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_fifo_is_refused_without_waiting(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"log.csv{ending}"
    os.mkfifo(path)
    with pytest.raises(DataError, match="cannot be read \\(it is not a regular file\\)"):
        read_binary(path)
