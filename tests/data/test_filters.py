"""Repeated pairs and k-cores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.filters import has_repeats, k_core, pair_keys, without_repeats

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


@given(ROWS)
def test_keys_are_equal_for_equal_pairs_only_and_ascend_by_user_then_item(rows: list[tuple[int, int]]) -> None:
    users, items = np.array(rows, dtype=np.int32).T
    order = np.argsort(pair_keys(users, items), kind="stable")
    assert [rows[i] for i in order] == sorted(rows)
    assert has_repeats(users, items) == (len(set(rows)) < len(rows))


@pytest.mark.parametrize("keep", ["first", "last"])
@given(rows=ROWS)
def test_the_first_or_last_of_each_repeated_pair_stays(keep: str, rows: list[tuple[int, int]]) -> None:
    users, items = np.array(rows, dtype=np.int32).T
    kept = np.flatnonzero(without_repeats(users, items, keep)).tolist()
    numbered = enumerate(rows) if keep == "last" else reversed(list(enumerate(rows)))
    assert kept == sorted({row: i for i, row in numbered}.values())


@given(ROWS, st.integers(0, 4), st.integers(0, 4))
def test_a_k_core_is_the_largest_set_of_rows_with_the_minima(
    rows: list[tuple[int, int]], per_user: int, per_item: int
) -> None:
    users, items = np.array(rows, dtype=np.int32).T
    mask = k_core(users, items, min_user_interactions=per_user, min_item_interactions=per_item)
    expected = list(range(len(rows)))
    while True:
        left = [
            i
            for i in expected
            if sum(rows[j][0] == rows[i][0] for j in expected) >= per_user
            and sum(rows[j][1] == rows[i][1] for j in expected) >= per_item
        ]
        if left == expected:
            break
        expected = left
    assert np.flatnonzero(mask).tolist() == expected


def test_dropping_an_item_drops_the_users_that_fall_below_the_minimum() -> None:
    users, items = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 9])
    mask = k_core(users, items, min_user_interactions=2, min_item_interactions=2)
    assert mask.tolist() == [True, True, True, True, False, False]
