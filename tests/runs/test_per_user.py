"""The file of the metrics of each user: what is written is read, and what is no such file is refused."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recrun.errors import CheckpointError
from recrun.metrics.per_user import PerUser
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import add_per_user, read_per_user, write_per_user

SETTINGS = {"description": "mf", "dataset": "Synthetic", "id": "a"}
VALUES = {"recall@20": np.array([0.1, 1 / 3, math.nan]), "ndcg@20": np.array([0.0, 1e-17, 1.0])}
IDS = {
    "text": np.array(["a", "b,\n", "ü"]),
    "objects": np.array(["a", "b", "c"], dtype=object),
    "numbers": np.arange(3),
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, SETTINGS)


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_what_is_written_is_read_to_the_last_digit(run: RunFolder, ids: np.ndarray) -> None:
    write_per_user(run, "test", PerUser(ids, VALUES))
    found = read_per_user(run.path, "test")
    assert found is not None
    assert found.users_U.tolist() == ids.tolist()
    assert list(found.values) == list(VALUES)
    for name, values_U in VALUES.items():
        assert np.array_equal(found.values[name], values_U, equal_nan=True)


def test_a_user_who_is_left_out_is_null_in_the_file(run: RunFolder) -> None:
    write_per_user(run, "valid", PerUser(IDS["text"], VALUES))
    frame = pl.read_parquet(run.per_user_file("valid"))
    assert frame.columns == ["user", "recall@20", "ndcg@20"]
    assert frame["recall@20"].to_list() == [0.1, 1 / 3, None]
    assert read_per_user(run.path, "test") is None


@pytest.mark.parametrize("nothing", [None, PerUser(np.arange(3), {})])
def test_nothing_to_write_removes_an_older_file(run: RunFolder, nothing: PerUser | None) -> None:
    write_per_user(run, "test", nothing)
    write_per_user(run, "test", PerUser(np.arange(3), VALUES))
    write_per_user(run, "test", nothing)
    assert read_per_user(run.path, "test") is None


def test_metrics_are_added_and_those_that_are_there_stay(run: RunFolder) -> None:
    users = np.arange(3)
    assert add_per_user(run, "test", PerUser(users, {"ndcg@20": VALUES["ndcg@20"]}))
    assert add_per_user(run, "test", PerUser(users, {"ndcg@20": np.ones(3), "auc": np.full(3, 0.5)}))
    assert not add_per_user(run, "test", PerUser(users, {"auc": np.zeros(3)}))
    found = read_per_user(run.path, "test")
    assert found is not None
    assert {name: values.tolist() for name, values in found.values.items()} == {
        "ndcg@20": VALUES["ndcg@20"].tolist(),
        "auc": [0.5, 0.5, 0.5],
    }
    with pytest.raises(CheckpointError, match="of other users than the data has"):
        add_per_user(run, "test", PerUser(users + 1, VALUES))


BAD = {
    "no user first": (pl.DataFrame({"ndcg": [1.0], "user": [1]}), "must have a column 'user' first"),
    "no metric": (pl.DataFrame({"user": [1]}), "must have a column 'user' first"),
    "a user twice": (pl.DataFrame({"user": [1, 1], "ndcg": [1.0, 0.0]}), "each user once"),
    "a user missing": (pl.DataFrame({"user": [1, None], "ndcg": [1.0, 0.0]}), "each user once"),
    "users of numbers": (pl.DataFrame({"user": [1.0, 2.0], "ndcg": [1.0, 0.0]}), "each user once"),
    "text": (pl.DataFrame({"user": [1], "ndcg": ["1"]}), "its column 'ndcg' must hold float64"),
    "integers": (pl.DataFrame({"user": [1], "ndcg": [1]}), "its column 'ndcg' must hold float64"),
}


@pytest.mark.parametrize(("frame", "message"), BAD.values(), ids=BAD.keys())
def test_a_file_of_something_else_is_refused(run: RunFolder, frame: pl.DataFrame, message: str) -> None:
    file = run.per_user_file("test")
    frame.write_parquet(file)
    with pytest.raises(CheckpointError, match=message):
        read_per_user(run.path, "test")


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no parquet": (lambda file: file.write_bytes(b"PAR1 or not"), "not a parquet file"),
    "empty": (lambda file: file.write_bytes(b""), "not a parquet file"),
    "a folder": (lambda file: file.mkdir(), "not a regular file"),
    "a fifo": (os.mkfifo, "not a regular file"),
    "a link": (lambda file: file.symlink_to(file.parent / "other"), "symbolic link"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")
@pytest.mark.parametrize(("make", "message"), PLACES.values(), ids=PLACES.keys())
def test_something_in_its_place_is_refused(run: RunFolder, make: Callable[[Path], object], message: str) -> None:
    file = run.per_user_file("test")
    make(file)
    with pytest.raises(CheckpointError, match=message):
        read_per_user(run.path, "test")


def test_a_folder_that_is_a_link_is_not_followed(run: RunFolder, tmp_path: Path) -> None:
    other = RunFolder.create(tmp_path, {**SETTINGS, "id": "b"})
    write_per_user(other, "test", PerUser(np.arange(3), VALUES))
    (run.path / "per_user").rmdir()
    (run.path / "per_user").symlink_to(other.path / "per_user")
    with pytest.raises(CheckpointError, match="is a symbolic link"):
        read_per_user(run.path, "test")
