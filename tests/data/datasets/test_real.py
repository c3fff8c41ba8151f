"""The real data sets: their published counts, and what their splits must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.data.datasets import Beauty, File, Gowalla_m1, LastFM, MovieLens1M, MovieLens100K, MovieLensLatestSmall
from recrun.data.datasets.base import RecDataSet
from recrun.data.filters import pair_keys
from recrun.errors import DataError


def sizes(data: RecDataSet) -> list[int]:
    return [len(data.interactions(part)) for part in ("train", "valid", "test")]


def n_distinct(data: RecDataSet) -> int:
    parts = [data.interactions(part) for part in ("train", "valid", "test")]
    users, items = (np.concatenate([getattr(part, name) for part in parts]) for name in ("users", "items"))
    return len(np.unique(pair_keys(users, items)))


def test_gowalla_has_the_published_counts_and_original_ids(shared_data: Path) -> None:
    data = Gowalla_m1(shared_data)
    train, valid, test = sizes(data)
    assert (data.n_users, data.n_items, train + valid, test) == (29_858, 40_981, 810_128, 217_242)
    assert n_distinct(data) == 810_128 + 217_242
    assert (data.csr("train").lengths > 0).all()
    assert (data.csr("test").lengths > 0).all()
    assert data.user_ids[0] == 343
    assert data.item_ids[:2].tolist() == [8975, 9190]
    assert not any("published" in note for note in data.notes)
    assert data.hashes["train.txt"] == "7244696fdeb23911319cf7b689f2e15a3c4c92549c873a5677b44e3f13cc3e62"


def test_gowalla_holds_out_the_rounded_tenth_of_each_users_train_row(shared_data: Path) -> None:
    data, whole = Gowalla_m1(shared_data), Gowalla_m1(shared_data, valid_ratio=0)
    assert sizes(whole) == [810_128, 0, 217_242]
    expected = np.floor(whole.csr("train").lengths * 0.1 + 0.5 + 1e-9)
    assert np.array_equal(data.csr("valid").lengths, expected)


def test_movielens_100k_splits_in_every_way(shared_data: Path) -> None:
    data = MovieLens100K(shared_data)
    assert (data.n_users, data.n_items, sum(sizes(data))) == (943, 1_682, 100_000)
    assert list(data.interactions("train").columns) == ["rating", "timestamp"]
    assert sizes(MovieLens100K(shared_data, split="leave_one_out"))[1:] == [943, 943]
    in_time = MovieLens100K(shared_data, split="time")
    times = [in_time.interactions(part).columns["timestamp"] for part in ("train", "valid", "test")]
    assert times[0].max() < times[1].min()
    assert times[1].max() < times[2].min()
    assert n_distinct(in_time) == 100_000


def test_movielens_100k_has_its_published_folds(shared_data: Path) -> None:
    assert sizes(MovieLens100K(shared_data, split="given", fold="u1", valid_ratio=0)) == [80_000, 0, 20_000]
    data = MovieLens100K(shared_data, split="given", fold="ua")
    assert sizes(data)[2] == 9_430
    assert n_distinct(data) == 100_000
    with pytest.raises(DataError, match=r"split=given and fold .* go together"):
        MovieLens100K(shared_data, split="given")


def test_a_rating_threshold_and_a_k_core_hold_afterwards(shared_data: Path) -> None:
    data = MovieLens100K(shared_data, rating_threshold=4, min_user_interactions=10, min_item_interactions=10)
    parts = [data.interactions(part) for part in ("train", "valid", "test")]
    assert min(float(part.columns["rating"].min()) for part in parts) >= 4
    for name, count in (("users", data.n_users), ("items", data.n_items)):
        assert np.bincount(np.concatenate([getattr(part, name) for part in parts]), minlength=count).min() >= 10


def test_the_same_rows_come_out_of_recbole_files_and_u_data(shared_data: Path) -> None:
    first = MovieLens100K(shared_data)
    second = File(shared_data, path="ml-100k/recbole/ml-100k.inter")
    assert first.hashes["split"] == second.hashes["split"]


def test_movielens_latest_small_has_the_published_counts(shared_data: Path) -> None:
    data = MovieLensLatestSmall(shared_data)
    assert (data.n_users, data.n_items, sum(sizes(data))) == (610, 9_724, 100_836)
    assert {float(x) for x in np.unique(data.interactions("train").columns["rating"])} == {x / 2 for x in range(1, 11)}
    assert not any("published" in note for note in data.notes)


def test_lastfm_has_the_published_counts_and_its_weights(shared_data: Path) -> None:
    data = LastFM(shared_data, valid_ratio=0)
    assert (data.n_users, data.n_items, sizes(data)) == (1_880, 4_489, [42_135, 0, 10_533])
    assert data.interactions("train").columns["weight"].dtype == np.float32
    assert data.user_ids[0] == 1


def test_sequence_files_split_by_leaving_one_out(shared_data: Path) -> None:
    data = File(shared_data, path="amazon2014/Beauty.txt", format="sequences", split="leave_one_out")
    assert (data.n_users, data.n_items, sum(sizes(data))) == (22_363, 12_101, 198_502)
    assert sizes(data)[1:] == [22_363, 22_363]
    first = data.interactions("test").take(slice(0, 1))
    assert (data.user_ids[first.users[0]], data.item_ids[first.items[0]]) == (1, 5)
    assert Beauty(shared_data).hashes["split"] == data.hashes["split"]


@pytest.mark.parametrize(
    ("dataset", "counts"), [(Beauty, (22_363, 12_101, 198_502)), (MovieLens1M, (6_040, 3_416, 999_611))]
)
def test_sets_of_sequences_have_the_published_counts_and_test_on_the_last_item(
    shared_data: Path, dataset: Any, counts: tuple[int, int, int]
) -> None:
    data = dataset(shared_data)
    assert (data.n_users, data.n_items, sum(sizes(data))) == counts
    assert sizes(data)[1:] == [data.n_users, data.n_users]
    assert n_distinct(data) == counts[2]
    assert not any("published" in note for note in data.notes)
    last = {part: data.interactions(part).columns["timestamp"] for part in ("valid", "test")}
    assert np.array_equal(last["test"], data.csr("train").lengths + 1)
    assert np.array_equal(last["valid"], data.csr("train").lengths)


def test_pairs_in_time_order_split_by_leaving_one_out(shared_data: Path) -> None:
    data = File(shared_data, path="ml-1m/sasrec/ml-1m.txt", format="pairs", split="leave_one_out")
    assert (data.n_users, data.n_items, sum(sizes(data))) == (6_040, 3_416, 999_611)
    assert sizes(data)[1:] == [6_040, 6_040]
    assert MovieLens1M(shared_data).hashes["split"] == data.hashes["split"]
