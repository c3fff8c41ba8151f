"""From tables to parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.datasets.preparation import Preparation, Prepared, prepare
from recrun.data.formats.table import Ids, Table
from recrun.errors import DataError


def table(rows: list[tuple[Any, ...]], *columns: str, name: str = "x", **options: Any) -> Table:
    """A table of rows (user, item, *values of the columns)."""
    users, items, *values = map(list, zip(*rows, strict=True)) if rows else ([], [])
    ids = Ids.of(np.array(users)), Ids.of(np.array(items))
    return Table(Path(name), *ids, dict(zip(columns, map(np.array, values), strict=True)), **options)


def original(prepared: Prepared, part: str) -> list[tuple[Any, Any]]:
    rows = prepared.parts[part]
    return list(zip(prepared.user_ids[rows.users].tolist(), prepared.item_ids[rows.items].tolist(), strict=True))


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(0, 20)), min_size=3, max_size=60)
SPLITS = st.sampled_from(
    ["ratio", "leave_one_out", "leave_k", "k_fold", "cold_users", "cold_items", "time", "user_time"]
)


@given(ROWS, SPLITS, st.integers(0, 3))
def test_the_parts_are_disjoint_and_together_hold_every_pair_once(
    rows: list[tuple[int, int, int]], split: str, seed: int
) -> None:
    if split == "time":
        rows = [(user, item, moment) for moment, (user, item, _) in enumerate(rows)]
    prepared = prepare({"all": table(rows, "timestamp")}, Preparation(split=split, split_seed=seed, valid_ratio=0.2))
    pairs = [pair for part in ("train", "valid", "test") for pair in original(prepared, part)]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {(user, item) for user, item, _ in rows}


def test_rows_stand_by_user_and_then_by_time() -> None:
    rows = [(1, 5, 30), (0, 6, 20), (1, 7, 10), (0, 8, 20)]
    prepared = prepare({"all": table(rows, "timestamp")}, Preparation(split="ratio", test_ratio=0.1, valid_ratio=0))
    assert original(prepared, "train") == [(0, 6), (0, 8), (1, 7), (1, 5)]


def test_given_parts_stay_as_they_are_and_valid_comes_out_of_train() -> None:
    train = table([(u, i) for u in range(3) for i in range(10)])
    test = table([(u, 10 + u) for u in range(3)])
    prepared = prepare({"train": train, "test": test}, Preparation(valid_ratio=0.2))
    assert original(prepared, "test") == [(0, 10), (1, 11), (2, 12)]
    assert [user for user, _ in original(prepared, "valid")] == [0, 0, 1, 1, 2, 2]
    assert sorted(original(prepared, "train") + original(prepared, "valid")) == [
        (u, i) for u in range(3) for i in range(10)
    ]
    assert prepared.shipped == {"users": 3, "items": 13, "interactions": 33, "train": 30, "test": 3}


def test_no_validation_ratio_means_no_validation() -> None:
    parts = {"train": table([(0, 1), (0, 2)]), "test": table([(0, 3)])}
    assert not len(prepare(parts, Preparation(valid_ratio=0)).parts["valid"])


def test_a_shipped_validation_part_is_used_whatever_the_ratio() -> None:
    parts = {"train": table([(0, 1), (0, 2)]), "valid": table([(0, 4)]), "test": table([(0, 3)])}
    assert original(prepare(parts, Preparation(valid_ratio=0.5)), "valid") == [(0, 4)]


def test_an_overlap_of_given_parts_is_refused_with_both_lines() -> None:
    parts = {"train": table([(0, 1), (0, 2)], name="train.txt"), "test": table([(1, 1), (0, 2)], name="test.txt")}
    with pytest.raises(
        DataError, match=r"test.txt:2: user 0 and item 2 are in train.txt:2 too; .* must not overlap \(1 such"
    ):
        prepare(parts, Preparation())


def test_ids_of_several_files_are_numbered_together() -> None:
    parts = {"train": table([(7, 30), (3, 10)]), "test": table([(3, 20), (9, 10)])}
    prepared = prepare(parts, Preparation(valid_ratio=0))
    assert prepared.user_ids.tolist() == [3, 7, 9]
    assert prepared.item_ids.tolist() == [10, 20, 30]
    assert original(prepared, "test") == [(3, 20), (9, 10)]
    assert prepared.notes == (
        "1 of 2 users in test have no interaction in train; they are kept",
        "1 of 2 items in test have no interaction in train; they are kept",
    )


def test_ids_that_are_text_in_one_file_are_text_in_all() -> None:
    prepared = prepare({"train": table([(1, 1), (2, 1)]), "test": table([("a", 1)])}, Preparation(valid_ratio=0))
    assert prepared.user_ids.tolist() == ["1", "2", "a"]


def test_columns_that_not_every_file_has_are_left_out_with_a_note() -> None:
    parts = {"train": table([(0, 1, 5.0)], "rating"), "test": table([(0, 2)])}
    prepared = prepare(parts, Preparation(valid_ratio=0))
    assert not prepared.parts["train"].columns
    assert "not every file has rating; left out" in prepared.notes


@pytest.mark.parametrize(("keep", "rating"), [("first", 2.0), ("last", 3.0)])
def test_of_repeated_interactions_the_first_or_last_in_time_stays(keep: str, rating: float) -> None:
    rows = [(0, 1, 3.0, 50), (0, 2, 1.0, 5), (0, 1, 2.0, 10)]
    prepared = prepare(
        {"all": table(rows, "rating", "timestamp")}, Preparation(split="ratio", valid_ratio=0, duplicates=keep)
    )
    train = prepared.parts["train"]
    assert train.columns["rating"][train.items == 0].tolist() == [rating]
    assert prepared.notes[0] == f"1 repeated interactions of a user with an item; the {keep} ones are kept"


def test_a_rating_threshold_keeps_what_reaches_it_and_renumbers() -> None:
    prepared = prepare(
        {"all": table([(0, 1, 4.0), (0, 2, 3.5), (5, 2, 1.0)], "rating")},
        Preparation(split="ratio", valid_ratio=0, rating_threshold=3.5),
    )
    assert original(prepared, "train") == [(0, 1), (0, 2)]
    assert prepared.user_ids.tolist() == [0]
    assert prepared.shipped["users"] == 2


def test_a_k_core_counts_all_parts_together() -> None:
    parts = {"train": table([(0, 1), (1, 1), (1, 2)]), "test": table([(0, 2), (2, 1)])}
    prepared = prepare(parts, Preparation(valid_ratio=0, min_user_interactions=2, min_item_interactions=2))
    assert original(prepared, "train") == [(0, 1), (1, 1), (1, 2)]
    assert original(prepared, "test") == [(0, 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rating_threshold": 4}, "rating_threshold is set, but the data has no rating"),
        (
            {"min_user_interactions": 9},
            "the filters leave nothing: no interactions have 9 by their user and 0 by their item",
        ),
        (
            {"split": "time"},
            "split=time needs the time of each interaction, and x has none; name its column with time_column",
        ),
        ({"split": "leave_one_out"}, "split=leave_one_out needs the time"),
        ({"split": "nonsense"}, "unknown split 'nonsense'"),
        ({"test_ratio": 0.6, "valid_ratio": 0.4}, "test_ratio 0.6 and valid_ratio 0.4 together must be less than 1"),
        (
            {"split": "leave_one_out", "test_ratio": 0.3},
            "test_ratio 0.3 has no meaning here: split=leave_one_out tests on one",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare({"all": table([(0, 1), (0, 2), (1, 1)], name="x")}, Preparation(**{"split": "ratio", **options}))


def test_the_order_of_each_users_lines_is_no_time_to_split_everyone_by() -> None:
    rows = table([(0, 1, 0), (0, 2, 1)], "timestamp", time_is_order=True)
    with pytest.raises(DataError, match="split=time needs times that compare between users"):
        prepare({"all": rows}, Preparation(split="time"))
    assert original(prepare({"all": rows}, Preparation(split="leave_one_out", valid_ratio=0)), "test") == [(0, 2)]


def test_a_rating_threshold_that_nothing_reaches_is_refused() -> None:
    with pytest.raises(DataError, match="no rating reaches rating_threshold 6"):
        prepare({"all": table([(0, 1, 5.0)], "rating")}, Preparation(split="ratio", rating_threshold=6))


def test_parts_that_come_out_empty_are_noted() -> None:
    prepared = prepare({"all": table([(0, 1), (1, 1)])}, Preparation(split="ratio", test_ratio=0.2))
    assert [note for note in prepared.notes if "empty" in note] == [
        "test is empty: no user has enough interactions",
        "valid is empty: no user has enough interactions",
    ]


@pytest.mark.parametrize("split", ["cold_users", "cold_items"])
def test_what_is_cold_is_not_in_train_and_a_note_says_so(split: str) -> None:
    rows = [(user, item) for user in range(20) for item in range(30) if (user * item) % 3]
    prepared = prepare({"all": table(rows)}, Preparation(split=split, test_ratio=0.2, valid_ratio=0.1))
    side = 0 if split == "cold_users" else 1
    train, valid, test = ({pair[side] for pair in original(prepared, part)} for part in ("train", "valid", "test"))
    assert test
    assert valid
    assert not train & test
    assert not train & valid
    assert any("have no interaction in train; they are kept" in note for note in prepared.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "ratio", "n_held_out": 2}, "n_held_out 2 is for split=leave_k, found split=ratio"),
        ({"split": "leave_one_out", "test_fold": 2}, "n_folds and test_fold are for split=k_fold"),
        ({"split": "ratio", "n_folds": 3}, "n_folds and test_fold are for split=k_fold"),
        ({"split": "k_fold", "test_fold": 6}, "test_fold 6 is not there: n_folds is 5"),
        ({"split": "k_fold", "test_ratio": 0.3}, "split=k_fold tests on one fold; leave it out"),
        ({"split": "leave_k", "test_ratio": 0.3}, "split=leave_k tests on n_held_out interactions"),
        ({"split": "cold_users", "test_ratio": 0.6, "valid_ratio": 0.4}, "together must be less than 1"),
    ],
)
def test_an_option_that_means_nothing_to_a_split_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare({"all": table([(1, 2, 3)], "timestamp")}, Preparation(**options))
