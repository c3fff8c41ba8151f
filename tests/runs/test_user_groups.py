"""The file of the groups of users."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from recrun.errors import CheckpointError
from recrun.metrics.groups import Grouping
from recrun.runs.folder import RunFolder
from recrun.runs.user_groups import read_user_groups, write_user_groups

BASE = SimpleNamespace(n_users=4, user_ids=np.array(["d", "b", "c", "a"]))
GENDER = Grouping("gender", "user", ("F", "M=x"), (np.array([0, 2]), np.array([1])))
ACTIVITY = Grouping("activity:2", "user", ("1-2", "3-9"), (np.array([0, 1]), np.array([2, 3])))
ITEMS = Grouping("genre", "item", ("Drama",), (np.array([0]),))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, {"description": "mf", "dataset": "Synthetic", "id": "a"})


def _read(run: RunFolder) -> dict[str, dict[str, list[str]]]:
    return {name: {label: ids.tolist() for label, ids in of.items()} for name, of in read_user_groups(run).items()}


def test_who_belongs_where_is_read_as_written(run: RunFolder) -> None:
    assert read_user_groups(run) == {}
    write_user_groups(run, [GENDER, ITEMS], BASE)
    assert _read(run) == {"gender": {"F": ["c", "d"], "M=x": ["b"]}}


def test_groups_of_items_alone_write_nothing(run: RunFolder) -> None:
    write_user_groups(run, [ITEMS], BASE)
    assert not run.per_user_file("groups").exists()


def test_other_groups_are_kept_and_the_same_ones_replaced(run: RunFolder) -> None:
    write_user_groups(run, [GENDER], BASE)
    write_user_groups(run, [ACTIVITY], BASE)
    assert list(_read(run)) == ["gender", "activity:2"]
    write_user_groups(run, [Grouping("gender", "user", ("F",), (np.array([3]),))], BASE)
    assert _read(run) == {"activity:2": {"1-2": ["b", "d"], "3-9": ["a", "c"]}, "gender": {"F": ["a"]}}


def test_groups_of_other_users_are_not_kept(run: RunFolder) -> None:
    write_user_groups(run, [GENDER], BASE)
    write_user_groups(run, [ACTIVITY], SimpleNamespace(n_users=4, user_ids=np.arange(4)))
    assert list(_read(run)) == ["activity:2"]


@pytest.mark.parametrize(
    "columns", [{"gender=F": [1, 0]}, {"gender": [True, False]}, {"gender=F": [True, None]}], ids=str
)
def test_a_file_of_something_else_is_refused(run: RunFolder, columns: dict[str, list[object]]) -> None:
    pl.DataFrame({"user": [1, 2], **columns}).write_parquet(run.per_user_file("groups"))
    with pytest.raises(CheckpointError, match="must be a group, true or false for each"):
        read_user_groups(run)
