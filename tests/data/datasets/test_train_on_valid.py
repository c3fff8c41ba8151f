"""Data of which train and valid are trained on together: the parts, and what is evaluated, stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.file import File
from recrun.data.datasets.labelled_file import LabelledFile
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import TIMESTAMP, Interactions
from recrun.data.tags import FEATURE
from recrun.errors import DataError

SPLITS: list[dict[str, Any]] = [
    {"split": "ratio"},
    {"split": "leave_one_out"},
    {"split": "leave_k", "n_held_out": 2},
    {"split": "time"},
    {"split": "user_time"},
    {"split": "k_fold", "test_fold": 2},
    {"split": "cold_users"},
    {"split": "cold_items"},
    {"split": "new_users", "fold_in_by": "time", "valid_ratio": 0.2, "test_ratio": 0.2},
    {"split": "new_users", "fold_in_by": "random", "valid_ratio": 0.2, "test_ratio": 0.2},
]


def _write(folder: Path) -> None:
    rng = np.random.default_rng(3)
    pairs = rng.permutation(40 * 30)[:500]
    rows = [f"{pair // 30},{pair % 30},{time}" for time, pair in enumerate(rng.permutation(pairs) % 1200)]
    (folder / "all.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _pairs(rows: Interactions) -> set[tuple[int, int]]:
    return set(zip(rows.users.tolist(), rows.items.tolist(), strict=True))


@pytest.mark.parametrize("settings", SPLITS, ids=lambda each: "-".join(map(str, each.values())))
def test_models_see_train_and_valid_and_what_is_evaluated_stays_the_same(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    _write(tmp_path)
    plain, both = (File(tmp_path, path="all.csv", **settings) for _ in range(2))
    both.train_on_valid()
    for split in ("valid", "test"):
        for rows in ("seen", "histories", "csr"):
            mine, others = (getattr(each, rows)(split) for each in (plain, both))
            assert np.array_equal(mine.indptr, others.indptr)
            assert np.array_equal(mine.indices, others.indices)
    assert plain.hashes == both.hashes
    assert plain.describe()["test"] == both.describe()["test"] > 0
    assert (plain.trains_on_valid, both.trains_on_valid) == (False, True)
    trained = _pairs(both.training_data().interactions)
    assert trained >= _pairs(plain.interactions("train")) | _pairs(plain.interactions("valid"))
    assert not trained & _pairs(plain.interactions("test"))
    if settings["split"] != "new_users":
        assert trained == _pairs(plain.interactions("train")) | _pairs(plain.interactions("valid"))


def test_rows_stand_by_user_and_then_by_time_as_those_of_any_part(tmp_path: Path) -> None:
    _write(tmp_path)
    data = File(tmp_path, path="all.csv", split="leave_one_out")
    data.train_on_valid()
    rows = data.training_data().interactions
    keys = list(zip(rows.users.tolist(), rows.columns[TIMESTAMP].tolist(), strict=True))
    assert keys == sorted(keys)
    batches = list(data.iterate("train", seed=1, epoch=0))
    assert sum(len(batch["user"]) for batch in batches) == len(rows) == sum(data.sizes("train"))


@pytest.mark.parametrize("by", ["time", "random"])
def test_new_users_of_valid_become_users_of_train_with_all_of_their_rows(tmp_path: Path, by: str) -> None:
    _write(tmp_path)
    settings = {"split": "new_users", "fold_in_by": by, "valid_ratio": 0.2, "test_ratio": 0.2}
    data = File(tmp_path, path="all.csv", **settings)
    data.train_on_valid()
    trained, given = _pairs(data.training_data().interactions), _pairs(data.interactions("given"))
    of_valid, of_test = ({user for user, _ in _pairs(data.interactions(part))} for part in ("valid", "test"))
    assert min(len(of_valid), len(of_test)) > 0
    assert {pair for pair in given if pair[0] in of_valid} <= trained
    assert not {user for user, _ in trained} & of_test


def test_a_valid_part_of_its_own_is_trained_on(tmp_path: Path) -> None:
    for name, rows in (("train", "a,1\nb,2\n"), ("valid", "a,2\n"), ("test", "b,1\n")):
        (tmp_path / f"{name}.csv").write_text(f"user,item\n{rows}", encoding="utf-8")
    data = File(tmp_path, train_path="train.csv", valid_path="valid.csv", test_path="test.csv")
    data.train_on_valid()
    assert _pairs(data.training_data().interactions) == {(0, 0), (0, 1), (1, 1)}


def test_data_without_a_valid_part_is_refused() -> None:
    data: RecDataSet = Synthetic(n_users=20, n_items=10, n_interactions=80, valid_ratio=0.0)
    with pytest.raises(DataError, match="Synthetic has no valid part to train on; leave out train_on: train_valid"):
        data.train_on_valid()


def test_categories_and_scales_are_fitted_on_both_parts_from_files_as_from_the_cache(tmp_path: Path) -> None:
    for name, rows in (("train", "x,1,0\ny,3,1\n"), ("valid", "z,8,1\n"), ("test", "z,4,0\nw,4,1\n")):
        (tmp_path / f"{name}.csv").write_text(f"kind,amount,label\n{rows}", encoding="utf-8")
    paths = {f"{part}_path": f"{part}.csv" for part in ("train", "valid", "test")}

    def load() -> LabelledFile:
        return LabelledFile(tmp_path, **paths, sparse_columns=["kind"], dense_columns=["amount"])

    plain = load()
    assert any("categories in valid that train lacks" in note for note in plain.notes)
    for data in (load(), load()):
        data.train_on_valid()
        rows = data.training_data().interactions.columns
        assert [field.name for field in data.fields if field.match(FEATURE)] == ["kind", "amount"]
        assert len(set(rows["kind"].tolist())) == 3
        assert rows["amount"].mean() == pytest.approx(0, abs=1e-6)
        test = data.interactions("test").columns
        assert test["kind"][0] == data.interactions("valid").columns["kind"][0]
        assert test["label"].tolist() == plain.interactions("test").columns["label"].tolist()
        assert test["amount"][0] == pytest.approx(0, abs=1e-6)
        assert data.hashes == plain.hashes
        assert sum("categories in" in note for note in data.notes) == 1  # those of test alone
