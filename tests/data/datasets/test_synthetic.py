"""Made-up interactions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.data.datasets import Synthetic, synthetic
from recrun.data.datasets.base import RecDataSet
from recrun.data.filters import has_repeats
from recrun.errors import DataError

PARTS = ("train", "valid", "test")


def everything(data: RecDataSet) -> tuple[np.ndarray, np.ndarray]:
    parts = [data.interactions(part) for part in PARTS]
    return np.concatenate([part.users for part in parts]), np.concatenate([part.items for part in parts])


def recall_at_20(scores: np.ndarray, data: RecDataSet) -> float:
    rows, columns = data.seen("test").pairs()
    scores = scores.astype(np.float64)
    scores[rows, columns] = -np.inf
    top = np.argpartition(-scores, 20, axis=1)[:, :20]
    relevant = data.csr("test").to_scipy(data.n_items).toarray()
    n_relevant = relevant.sum(axis=1)
    hits = np.take_along_axis(relevant, top, axis=1).sum(axis=1)
    return float((hits[n_relevant > 0] / n_relevant[n_relevant > 0]).mean())


def test_the_sizes_are_the_ones_asked_for() -> None:
    data = Synthetic(n_users=300, n_items=200, n_interactions=6000)
    users, items = everything(data)
    assert (data.n_users, data.n_items, len(users)) == (300, 200, 6000)
    assert not has_repeats(users, items)
    assert set(data.hashes) == {"split"}
    assert data.notes == []


def test_the_same_seeds_give_the_same_data_and_others_give_others() -> None:
    hashes = [
        Synthetic(n_users=50, n_items=60, n_interactions=900, **seeds).hashes["split"]
        for seeds in ({}, {}, {"data_seed": 1}, {"split_seed": 1})
    ]
    assert len(set(hashes)) == 3
    assert hashes[0] == hashes[1]


def test_popularity_and_activity_follow_their_power_laws() -> None:
    data = Synthetic(n_users=2000, n_items=1000, n_interactions=50_000, taste_strength=0, popularity_exponent=0.5)
    users, items = everything(data)
    for counts, exponent in ((np.bincount(items), 0.5), (np.bincount(users), 0.5)):
        ordered = np.sort(counts)[::-1]
        ranks = np.arange(10, len(ordered) // 2)
        slope = np.polyfit(np.log(ranks + 1.0), np.log(ordered[ranks]), 1)[0]
        assert slope == pytest.approx(-exponent, abs=0.08)


def test_popularity_alone_falls_far_behind_a_model_of_taste() -> None:
    data = Synthetic()
    matrix = data.training_data().matrix().toarray()
    gram = matrix.T @ matrix + 200 * np.eye(data.n_items, dtype=np.float32)
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    ease = recall_at_20(matrix @ weights, data)
    popularity = recall_at_20(np.tile(data.training_data().item_counts(), (data.n_users, 1)), data)
    assert 0.25 < ease < 0.45
    assert popularity < 0.4 * ease


def test_times_are_seconds_and_a_users_history_can_be_split_by_them() -> None:
    data = Synthetic(n_users=50, n_items=60, n_interactions=900, split="leave_one_out")
    assert [len(data.interactions(part)) for part in PARTS] == [800, 50, 50]
    train, test = data.interactions("train"), data.interactions("test")
    latest = np.full(50, -1)
    np.maximum.at(latest, train.users, train.columns["timestamp"])
    assert (test.columns["timestamp"] >= latest[test.users]).all()
    assert train.columns["timestamp"].dtype == np.int64


def test_ratings_lie_between_1_and_5_when_asked_for() -> None:
    data = Synthetic(n_users=50, n_items=60, n_interactions=900, with_ratings=True)
    ratings = data.interactions("train").columns["rating"]
    assert ratings.dtype == np.float32
    assert ratings.min() >= 1
    assert ratings.max() <= 5
    assert len(np.unique(ratings)) > 4
    assert "rating" not in Synthetic(n_users=50, n_items=60, n_interactions=900).interactions("train").columns


@pytest.mark.parametrize(
    "options",
    [
        {"n_users": 1, "n_items": 1, "n_interactions": 1},
        {"n_users": 3, "n_items": 2, "n_interactions": 3, "n_clusters": 9},
        {"n_users": 40, "n_items": 10, "n_interactions": 200, "taste_strength": 1.0},
        {"n_users": 500, "n_items": 500, "n_interactions": 200},
        {"n_users": 30, "n_items": 40, "n_interactions": 300, "activity_exponent": 3.0, "popularity_exponent": 3.0},
    ],
)
def test_extreme_sizes_come_out_whole(options: dict[str, Any]) -> None:
    users, items = everything(Synthetic(**options))
    assert len(users) == options["n_interactions"]
    assert not has_repeats(users, items)


def test_more_interactions_than_there_is_room_for_are_refused() -> None:
    with pytest.raises(DataError, match=r"n_interactions 51 is too large: .* there is room for 50"):
        Synthetic(n_users=10, n_items=10, n_interactions=51)


def test_every_option_of_a_split_is_in_the_hash_of_the_data() -> None:
    small = {"n_users": 40, "n_items": 30, "n_interactions": 500}
    options = [
        {"split": "leave_k"},
        {"split": "leave_k", "n_held_out": 2},
        {"split": "k_fold"},
        {"split": "k_fold", "test_fold": 2},
        {"split": "k_fold", "n_folds": 3},
        {"split": "cold_users"},
        {"split": "cold_items"},
    ]
    hashes = [Synthetic(**small, **each).hashes["split"] for each in options]
    assert len(set(hashes)) == len(options)


def test_histories_are_what_lies_before_a_part_in_the_order_of_time() -> None:
    data = Synthetic(n_users=30, n_items=40, n_interactions=300, split="leave_one_out")
    before_test, before_valid = data.histories("test"), data.histories("valid")
    assert data.histories("train").nnz == 0
    for user in range(data.n_users):
        whole, ends = before_test.row(user).tolist(), data.csr("valid").row(user).tolist()
        assert whole == before_valid.row(user).tolist() + ends, "the valid item is the latest before test"
        assert not set(whole) & set(data.csr("test").row(user).tolist())
    train = data.interactions("train")
    mine = np.flatnonzero(train.users == 0)
    in_time = train.items[mine[np.argsort(train.columns["timestamp"][mine], kind="stable")]]
    assert before_valid.row(0).tolist() == in_time.tolist()


def test_many_interactions_are_generated_for_some_users_at_a_time_and_cached(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path))
    monkeypatch.setattr(synthetic, "_AT_ONCE", 500)
    sizes = {"n_users": 300, "n_items": 200, "n_interactions": 4000, "with_ratings": True}
    made = Synthetic(**sizes)
    assert sum(len(made.interactions(part)) for part in PARTS) == 4000
    for part in PARTS:
        rows = made.interactions(part)
        assert len(np.unique(rows.users * 1000 + rows.items)) == len(rows), "a user meets an item once"
    assert len(list((tmp_path / "data").iterdir())) == 1
    monkeypatch.setattr(Synthetic, "read", lambda self, files: pytest.fail("it is generated again"))
    again = Synthetic(**sizes)
    assert again.hashes == made.hashes
    for part in PARTS:
        np.testing.assert_array_equal(again.interactions(part).items, made.interactions(part).items)


def test_few_interactions_are_not_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    Synthetic(n_users=300, n_items=200, n_interactions=4000)
    assert not (tmp_path / "cache").exists()
