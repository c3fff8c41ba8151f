"""The split that holds out users, of whom a share of interactions is given."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.datasets.cached import made_from
from recrun.data.datasets.file import File
from recrun.data.datasets.movielens import MovieLensLatestSmall
from recrun.data.datasets.preparation import Preparation, Prepared, prepare
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.export import write_parts
from recrun.errors import DataError
from tests.data.datasets.test_preparation import original, table

PARTS = ("train", "valid", "test", "given")
ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8), st.integers(0, 20)), min_size=10, max_size=90)


def _split(rows: list[tuple[int, int, int]], **options: Any) -> Prepared:
    return prepare({"all": table(rows, "timestamp")}, Preparation(split="new_users", **options))


def _users(prepared: Prepared, *parts: str) -> set[int]:
    return {user for part in parts for user, _ in original(prepared, part)}


@given(ROWS, st.integers(0, 3), st.sampled_from([0.5, 0.8]), st.sampled_from(["random", "time"]))
def test_users_are_held_out_whole_and_the_documented_number_of_their_known_items_is_to_be_found(
    rows: list[tuple[int, int, int]], seed: int, ratio: float, by: str
) -> None:
    shares = {"test_ratio": 0.3, "valid_ratio": 0.2, "split_seed": seed}
    prepared = _split(rows, **shares, fold_in_ratio=ratio, fold_in_by=by)
    pairs = {part: original(prepared, part) for part in PARTS}
    together = [pair for part in PARTS for pair in pairs[part]]
    assert len(together) == len(set(together))
    assert not _users(prepared, "train") & _users(prepared, "valid", "test", "given")
    assert not _users(prepared, "valid") & _users(prepared, "test")
    known = {item for _, item in pairs["train"]}
    held_out = {pair for pair in ((u, i) for u, i, _ in rows) if pair[0] not in _users(prepared, "train")}
    assert {pair for pair in held_out if pair[1] in known} == set(together) - set(pairs["train"])
    for user in _users(prepared, "given", "valid", "test"):
        n = sum(1 for pair in set(together) if pair[0] == user)
        n_relevant = sum(1 for part in ("valid", "test") for pair in pairs[part] if pair[0] == user)
        assert n_relevant == math.floor((1 - ratio) * n + 1e-9)


def test_the_counts_are_those_of_the_code_of_mult_vae() -> None:
    # 80 % given: of 4 items none is held out, of 5 to 9 one, of 10 two.
    rows = [(user, item, 0) for user in range(30) for item in range(4 + user % 8)]
    rows += [(100 + user, item, 0) for user in range(60) for item in range(11)]
    prepared = _split(rows, test_ratio=0.3, valid_ratio=0.3)
    for user in _users(prepared, "given"):
        counts = {part: sum(1 for each, _ in original(prepared, part) if each == user) for part in PARTS}
        total = sum(counts.values())
        assert counts["valid"] + counts["test"] == (0 if total < 5 else int(0.2 * total)), counts


def test_the_earliest_items_are_given_by_time() -> None:
    rows = [(user, (3 * user + place) % 12, place) for user in range(40) for place in range(10)]
    prepared = _split(rows, test_ratio=0.25, valid_ratio=0.25, fold_in_by="time")
    for part in ("valid", "test"):
        held_out = prepared.parts[part]
        assert set(held_out.columns["timestamp"].tolist()) == {8, 9}
    assert prepared.parts["given"].columns["timestamp"].max() == 7
    shuffled = _split(rows, test_ratio=0.25, valid_ratio=0.25)
    assert set(shuffled.parts["test"].columns["timestamp"].tolist()) > {8, 9}


def test_items_that_no_train_user_has_are_left_out_and_noted() -> None:
    rows = [(user, item, 0) for user in range(20) for item in range(6)] + [(user, 100 + user, 0) for user in range(20)]
    prepared = _split(rows, test_ratio=0.2, valid_ratio=0.1)
    n_held_out = 6
    assert len(prepared.item_ids) == 6 + 20 - n_held_out
    assert prepared.notes == ("6 interactions of held-out users are left out: no train user has their 6 items",)
    assert len(prepared.user_ids) == 20


def test_users_of_whom_nothing_is_held_out_are_noted() -> None:
    prepared = _split([(user, item, 0) for user in range(20) for item in range(4)], test_ratio=0.2, valid_ratio=0)
    told = "4 of 4 held-out users have too few interactions to hold any of them out; they are not tested on"
    assert told in prepared.notes
    assert "test is empty: no user has enough interactions" in prepared.notes


def test_which_users_are_tested_does_not_depend_on_the_share_of_valid() -> None:
    rows = [(user, item, 0) for user in range(50) for item in range(10)]
    with_valid, without = (_split(rows, test_ratio=0.2, valid_ratio=share) for share in (0.2, 0.0))
    assert original(with_valid, "test") == original(without, "test")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "ratio", "fold_in_ratio": 0.5}, "fold_in_ratio and fold_in_by are for split=new_users, found"),
        ({"split": "new_users", "fold_in_ratio": 1.0}, "expected a fold_in_ratio above 0 and below 1"),
        ({"split": "new_users", "fold_in_by": "tiem"}, "fold_in_by random or time; found 0.8 and tiem"),
        ({"split": "new_users", "test_ratio": 0.6, "valid_ratio": 0.4}, "together must be less than 1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preparation(**options).check()


def test_the_earliest_need_times() -> None:
    with pytest.raises(DataError, match="split=new_users needs the time of each interaction"):
        prepare({"all": table([(0, 1), (1, 1)])}, Preparation(split="new_users", fold_in_by="time"))


def test_what_is_seen_before_a_part_is_train_and_what_is_given() -> None:
    data = Synthetic(n_users=100, n_items=50, n_interactions=2000, split="new_users")
    rows = data.given()
    assert rows is not None
    given_part, train = data.interactions("given"), data.csr("train")
    assert data.describe()["given"] == len(given_part) == rows.nnz
    assert f"{len(given_part):,} given" in repr(data)
    for split in ("valid", "test"):
        held_out = np.unique(data.interactions(split).users)  # type: ignore[arg-type]
        seen, histories = data.seen(split), data.histories(split)  # type: ignore[arg-type]
        for user in held_out:
            assert set(seen.row(user)) == set(rows.row(user)) == set(histories.row(user))
            assert rows.row(user).tolist() == histories.row(user).tolist()
            assert not set(rows.row(user)) & set(data.csr(split).row(user))  # type: ignore[arg-type]
            assert not len(train.row(user))
    assert data.seen("valid").nnz == train.nnz + rows.nnz
    assert Synthetic(n_users=100, n_items=50, n_interactions=2000).given() is None


def test_it_is_cached_with_what_is_given_and_the_hash_covers_it(tmp_path: Path, shared_data: Path) -> None:
    made = [MovieLensLatestSmall(shared_data, split="new_users", rating_threshold=4) for _ in range(2)]
    assert made[0].notes == made[1].notes
    for part in PARTS:
        one, other = (each.interactions(part) for each in made)  # type: ignore[arg-type]
        assert np.array_equal(one.users, other.users)
        assert np.array_equal(one.items, other.items)
        assert one.columns.keys() == other.columns.keys()
    assert made[0].hashes == made[1].hashes
    options = [{}, {"fold_in_ratio": 0.5}, {"fold_in_by": "time"}, {"split_seed": 1}]
    hashes = {
        MovieLensLatestSmall(shared_data, split="new_users", rating_threshold=4, **each).hashes["split"]  # type: ignore[arg-type]
        for each in options
    }
    assert len(hashes) == 4


def test_other_splits_are_cached_as_before_there_were_held_out_users(shared_data: Path) -> None:
    data = MovieLensLatestSmall(shared_data)
    identity = made_from(MovieLensLatestSmall, data.settings, data.files, data.preparation)
    assert not {"fold_in_ratio", "fold_in_by"} & identity["settings"].keys()
    assert "given" not in data.describe()


@pytest.mark.parametrize("format", ["csv", "parquet", "inter", "lightgcn"])
def test_an_export_has_a_file_of_what_is_given(tmp_path: Path, format: str) -> None:
    (tmp_path / "a.csv").write_text(
        "user,item,timestamp\n" + "".join(f"{u},{i},{u + i}\n" for u in range(30) for i in range(u % 4, 12))
    )
    data = File(tmp_path, path="a.csv", split="new_users", test_ratio=0.2)
    written = write_parts(data, tmp_path / "parts", format)
    assert set(written["files"]) == set(PARTS)
    assert written["rows"] == {part: len(data.interactions(part)) for part in PARTS}  # type: ignore[arg-type]
    if format == "csv":
        again = File(tmp_path, path="parts/given.csv", test_ratio=0, valid_ratio=0).interactions("train")
        assert len(again) == written["rows"]["given"]
