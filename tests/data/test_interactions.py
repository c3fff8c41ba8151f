"""Interactions in columns and compressed rows."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.interactions import CSR, Interactions, TrainingData, join, union
from recrun.data.orders import chronological_order, sorted_distinct, stable_order

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=40)


def as_lists(csr: CSR) -> list[list[int]]:
    return [csr.row(u).tolist() for u in range(csr.n_rows)]


@given(PAIRS)
def test_rows_hold_each_users_distinct_items_in_ascending_order(pairs: list[tuple[int, int]]) -> None:
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    csr = CSR.from_pairs(users, items, 7)
    assert as_lists(csr) == [sorted({i for u, i in pairs if u == user}) for user in range(7)]
    assert csr.indptr.dtype == np.int64
    assert csr.indices.dtype == np.int32
    assert csr.lengths.tolist() == [len(row) for row in as_lists(csr)]


@given(PAIRS)
def test_rows_that_are_not_sorted_keep_the_order_of_the_pairs(pairs: list[tuple[int, int]]) -> None:
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    csr = CSR.from_pairs(users, items, 7, sort=False)
    assert as_lists(csr) == [[i for u, i in pairs if u == user] for user in range(7)]


def test_repeated_pairs_stay_when_asked_to() -> None:
    csr = CSR.from_pairs(np.array([0, 0]), np.array([3, 3]), 1, unique=False)
    assert as_lists(csr) == [[3, 3]]


@given(PAIRS, st.lists(st.integers(0, 6), max_size=10))
def test_selected_rows_are_the_rows_of_those_users(pairs: list[tuple[int, int]], wanted: list[int]) -> None:
    users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    csr = CSR.from_pairs(users, items, 7)
    indptr, indices = csr.rows(np.array(wanted, dtype=np.int64))
    rows = [indices[start:stop].tolist() for start, stop in itertools.pairwise(indptr)]
    assert rows == [csr.row(u).tolist() for u in wanted]


@given(PAIRS, PAIRS)
def test_a_union_holds_what_either_side_holds(first: list[tuple[int, int]], second: list[tuple[int, int]]) -> None:
    sides = []
    for pairs in (first, second):
        users, items = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
        sides.append(CSR.from_pairs(users, items, 7))
    expected = [sorted({*a, *b}) for a, b in zip(*map(as_lists, sides), strict=True)]
    assert as_lists(union(*sides)) == expected


def test_a_scipy_matrix_has_ones_at_the_pairs() -> None:
    matrix = CSR.from_pairs(np.array([1, 0]), np.array([2, 0]), 2).to_scipy(4)
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_the_stable_order_sorts_and_leaves_equal_keys_as_they_stand(values: list[int]) -> None:
    keys = np.array(values, dtype=np.int32)
    order = stable_order(keys)
    expected = np.argsort(keys, kind="stable")
    assert (np.arange(len(keys)) if order is None else order).tolist() == expected.tolist()


def test_the_stable_order_of_keys_too_large_to_be_packed_is_the_same() -> None:
    keys = np.array([2**61, 5, 2**61, 5])
    order = stable_order(keys)
    assert order is not None
    assert order.tolist() == [1, 3, 0, 2]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-5, 5)), max_size=30),
    st.sampled_from([np.int64, np.float64]),
)
def test_the_chronological_order_is_by_user_then_time(rows: list[tuple[int, int]], dtype: type) -> None:
    users, times = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    order = chronological_order(users, times.astype(dtype))
    expected = np.lexsort((times, users))
    assert (np.arange(len(users)) if order is None else order).tolist() == expected.tolist()


def test_distinct_values_come_sorted_and_once() -> None:
    assert sorted_distinct(np.array([3, 1, 3, 2, 1])).tolist() == [1, 2, 3]
    assert sorted_distinct(np.array([], dtype=np.int64)).tolist() == []


def test_histories_follow_time_and_then_the_rows_order() -> None:
    rows = Interactions(np.array([1, 0, 1, 1]), np.array([4, 5, 6, 7]), {"timestamp": np.array([9, 1, 3, 9])})
    assert as_lists(rows.histories(2)) == [[5], [6, 4, 7]]
    without_time = Interactions(rows.users, rows.items)
    assert as_lists(without_time.histories(2)) == [[5], [4, 6, 7]]


def test_taking_rows_takes_every_column() -> None:
    rows = Interactions(np.array([0, 1, 2]), np.array([3, 4, 5]), {"rating": np.array([1.0, 2.0, 3.0])})
    taken = rows.take(np.array([2, 0]))
    assert (taken.users.tolist(), taken.items.tolist()) == ([2, 0], [5, 3])
    assert taken.columns["rating"].tolist() == [3.0, 1.0]
    assert len(rows.take(slice(0, 2))) == 2


def test_training_data_counts_the_users_of_each_item() -> None:
    rows = Interactions(np.array([0, 0, 1, 1]), np.array([2, 2, 2, 0]))
    data = TrainingData((), 3, 4, rows)  # type: ignore[arg-type]
    assert data.item_counts().tolist() == [1, 0, 2, 0]
    assert data.matrix().toarray().tolist() == [[0, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert data.csr() is data.csr()


def test_the_latest_items_of_rows_are_their_ends_filled_up_behind() -> None:
    rows = CSR.from_pairs(np.array([0, 0, 0, 2, 3, 3]), np.array([7, 3, 5, 9, 4, 1]), 4, sort=False)
    items, lengths = rows.latest(np.array([3, 0, 1, 0]), 2)
    assert items.tolist() == [[4, 1], [3, 5], [0, 0], [3, 5]]
    assert lengths.tolist() == [2, 2, 0, 2]
    assert rows.latest(np.array([0]), 5)[0].tolist() == [[7, 3, 5, 0, 0]]


def test_joined_parts_keep_the_columns_that_all_have() -> None:
    first = Interactions(np.array([1]), np.array([2]), {"timestamp": np.array([5]), "rating": np.array([1.0])})
    second = Interactions(np.array([0, 1]), np.array([3, 4]), {"timestamp": np.array([9, 1])})
    joined = join([first, second])
    assert (joined.users.tolist(), joined.items.tolist()) == ([1, 0, 1], [2, 3, 4])
    assert {name: values.tolist() for name, values in joined.columns.items()} == {"timestamp": [5, 9, 1]}
    assert joined.histories(2).row(1).tolist() == [4, 2]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), max_size=40))
def test_distinct_rows_ascend_and_hold_each_item_once(pairs: list[tuple[int, int]]) -> None:
    users, items = (np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))
    rows = CSR.from_pairs(users, items, 5, sort=False)
    distinct = rows.distinct()
    assert [distinct.row(user).tolist() for user in range(5)] == [sorted(set(rows.row(user))) for user in range(5)]
    assert distinct.distinct() is distinct
    taken = rows.take(np.array([4, 0, 4]))
    assert [taken.row(place).tolist() for place in range(3)] == [rows.row(user).tolist() for user in (4, 0, 4)]
