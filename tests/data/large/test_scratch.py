from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from recrun.data.large import scratch
from recrun.data.large.partition import Partition


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scratch, "LARGE", 1000)
    return tmp_path / "cache"


def is_in_file(array: np.ndarray) -> bool:
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return isinstance(base, np.memmap)


def test_a_large_array_lies_in_a_file_without_a_name(cache: Path) -> None:
    array = scratch.empty((100, 3), np.int32)
    assert is_in_file(array)
    assert type(array) is np.ndarray
    assert array.shape == (100, 3)
    array[:] = np.arange(300).reshape(100, 3)
    np.testing.assert_array_equal(array[::-1].sum(axis=1), np.arange(300).reshape(100, 3)[::-1].sum(axis=1))
    assert list((cache / "data").iterdir()) == []


def test_a_small_array_lies_in_memory(cache: Path) -> None:
    assert not is_in_file(scratch.empty(10, np.int64))
    assert not cache.exists()


def test_a_large_array_lies_in_memory_where_no_file_can_be_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "file" / "below"))
    array = scratch.empty(1000, np.int64)
    array[:] = 7
    assert not is_in_file(array)
    assert int(array.sum()) == 7000


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system does not reserve room")
def test_a_large_array_lies_in_memory_where_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", is_full)
    assert not is_in_file(scratch.empty(1000, np.int64))


def test_room_is_taken_by_writing_where_the_system_does_not_reserve_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    array = scratch.empty(1001, np.int64)
    array[:] = np.arange(1001)
    assert is_in_file(array)
    assert int(array.sum()) == 500_500


def test_a_partition_keeps_the_order_within_parts_and_widens_columns() -> None:
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 5, 200).astype(np.uint16)
    wide = np.arange(200) + np.where(np.arange(200) < 100, 0, 2**40)
    pairs = rng.random((200, 2))
    partition = Partition(np.bincount(parts, minlength=5))
    for at in (slice(0, 100), slice(100, 200)):
        numbers = wide[at].astype(np.int32) if at.start == 0 else wide[at]
        partition.add(parts[at], {"number": numbers, "pair": pairs[at]})
    order = np.argsort(parts, kind="stable")
    np.testing.assert_array_equal(partition.columns["number"], wide[order])
    np.testing.assert_array_equal(partition.columns["pair"], pairs[order])
    for part, at in enumerate(partition.parts):
        np.testing.assert_array_equal(parts[order][at], np.full(at.stop - at.start, part))
