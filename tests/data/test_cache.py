"""Cache entries are complete or absent, never executed, and not used when damaged."""

from __future__ import annotations

import json
import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from recrun.data import cache
from recrun.data.cache import Entry
from recrun.data.cache_folder import cache_folder
from recrun.errors import DataError

ENTRY = Entry(
    {"numbers": np.arange(5), "none": np.zeros(0, dtype=np.int32), "names": np.array(["a", "bé"])}, {"notes": ["x"]}
)


def same(first: Entry | None, second: Entry) -> bool:
    return (
        first is not None
        and first.facts == second.facts
        and list(first.arrays) == list(second.arrays)
        and all(np.array_equal(first.arrays[name], second.arrays[name]) for name in second.arrays)
    )


def test_what_was_stored_is_loaded(tmp_path: Path) -> None:
    assert cache.store(tmp_path / "deep" / "x", ENTRY) is None
    assert same(cache.load(tmp_path / "deep" / "x"), ENTRY)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["x"]


def test_writing_to_a_loaded_array_does_not_reach_the_file(tmp_path: Path) -> None:
    cache.store(tmp_path / "x", ENTRY)
    loaded = cache.load(tmp_path / "x")
    assert loaded is not None
    loaded.arrays["numbers"][:] = 0
    assert same(cache.load(tmp_path / "x"), ENTRY)


def test_the_folder_depends_on_everything_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {cache.entry_folder("A", facts) for facts in ({"f": "1"}, {"f": "2"}, {"f": "1", "g": None})}
    assert len(folders) == 3
    assert cache.entry_folder("A", {"f": "1", "g": 2}) == cache.entry_folder("A", {"g": 2, "f": "1"})
    monkeypatch.setattr(cache, "SCHEMA", cache.SCHEMA + 1)
    assert cache.entry_folder("A", {"f": "1"}) not in folders


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECRUN_CACHE", "/somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache.cache_folder() == Path("/somewhere")
    monkeypatch.delenv("RECRUN_CACHE")
    assert cache.cache_folder() == Path("/xdg/recrun")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.cache_folder() == Path("/home/me/.cache/recrun")


def test_an_entry_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    cache.store(tmp_path / "x", ENTRY)
    other = Entry({"numbers": np.arange(3)}, {})
    assert cache.store(tmp_path / "x", other) is None
    assert same(cache.load(tmp_path / "x"), ENTRY)


@pytest.mark.parametrize("damage", ["cut", "gone", "json", "pickle"])
def test_a_damaged_entry_is_not_loaded_and_is_replaced(tmp_path: Path, damage: str) -> None:
    cache.store(tmp_path / "x", ENTRY)
    array, description = tmp_path / "x" / "00.npy", tmp_path / "x" / "entry.json"
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-8])
    elif damage == "gone":
        array.unlink()
    elif damage == "json":
        description.write_text("{")
    else:
        np.save(array, np.array([print], dtype=object), allow_pickle=True)
    assert cache.load(tmp_path / "x") is None
    assert cache.store(tmp_path / "x", ENTRY) is None
    assert same(cache.load(tmp_path / "x"), ENTRY)


def test_a_pickle_in_an_array_file_is_never_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    cache.store(tmp_path / "x", ENTRY)
    (tmp_path / "x" / "00.npy").write_bytes(pickle.dumps(Hostile()))
    assert cache.load(tmp_path / "x") is None
    assert not (tmp_path / "executed").exists()


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reason = cache.store(tmp_path / "file" / "x", ENTRY)
    assert reason is not None
    assert str(tmp_path / "file") in reason


def test_many_that_store_over_a_damaged_entry_at_once_all_succeed(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    # Processes, as in use: Python 3.11 cannot parse the headers of arrays in several threads at once.
    with ProcessPoolExecutor(8, get_context("spawn")) as pool:
        for _ in range(20):
            folder.mkdir(exist_ok=True)
            (folder / "entry.json").write_text("{}")
            reasons = list(pool.map(cache.store, [folder] * 8, [ENTRY] * 8))
            assert reasons == [None] * 8
            assert same(cache.load(folder), ENTRY)
            assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / ".building-old", tmp_path / ".building-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (time.time() - 90_000,) * 2)
    cache.store(tmp_path / "x", ENTRY)
    assert new.exists()
    assert not old.exists()


def test_a_description_from_elsewhere_does_not_lead_out_of_the_entry(tmp_path: Path) -> None:
    cache.store(tmp_path / "x", ENTRY)
    np.save(tmp_path / "secret.npy", np.arange(3))
    description = json.loads((tmp_path / "x" / "entry.json").read_text())
    description["arrays"]["numbers"] = "../secret.npy"
    (tmp_path / "x" / "entry.json").write_text(json.dumps(description))
    assert cache.load(tmp_path / "x") is None


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("RECRUN_CACHE", "~nosuchuser/x", "RECRUN_CACHE: there is no home folder for '~nosuchuser/x'"),
        ("XDG_CACHE_HOME", "~nosuchuser", "XDG_CACHE_HOME: there is no home folder for '~nosuchuser'"),
        ("HOME", "relative", "HOME is no absolute path ('relative'); correct it, or set RECRUN_CACHE"),
        ("HOME", "", "HOME is no absolute path (''); correct it, or set RECRUN_CACHE"),
    ],
)
def test_a_home_that_is_not_there_is_one_error(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    for each in ("RECRUN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(DataError) as error:
        cache_folder()
    assert str(error.value).startswith(message)
