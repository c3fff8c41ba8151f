"""Labels of train, valid and test."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.splits import TEST, TRAIN, VALID
from recrun.data.splits import rules as splits
from recrun.errors import DataError
from recrun.randomness import generator

USERS = st.lists(st.integers(0, 5), min_size=1, max_size=60)
SHARE = st.floats(0, 0.49, allow_subnormal=False)


@given(USERS, st.integers(0, 10))
def test_ranks_count_each_users_rows_in_the_given_order(values: list[int], seed: int) -> None:
    users = np.array(values)
    order = np.random.default_rng(seed).permutation(len(users))
    ranks = splits.rank_within_user(users, 6, order)
    for user in range(6):
        in_order = [row for row in order if users[row] == user]
        assert ranks[in_order].tolist() == list(range(len(in_order)))
    assert splits.rank_within_user(users, 6).tolist() == [values[:i].count(user) for i, user in enumerate(values)]


@given(USERS, SHARE, SHARE)
def test_a_ratio_holds_out_the_documented_number_of_each_user_and_never_all(
    values: list[int], test: float, valid: float
) -> None:
    users = np.array(values)
    labels = splits.by_ratio(users, 6, test_ratio=test, valid_ratio=valid, rng=generator(0, 0, "split"))
    for user in set(values):
        own = labels[users == user].tolist()
        n_test = min(int(np.floor(len(own) * test + 0.5 + 1e-9)), len(own) - 1)
        n_valid = min(int(np.floor(len(own) * valid + 0.5 + 1e-9)), max(len(own) - n_test - 1, 0))
        assert (own.count(TEST), own.count(VALID)) == (n_test, n_valid)
        assert own.count(TRAIN) >= 1


def test_the_test_part_does_not_depend_on_the_validation_ratio() -> None:
    users = np.repeat(np.arange(20), 10)
    with_valid, without = (
        splits.by_ratio(users, 20, test_ratio=0.2, valid_ratio=valid, rng=generator(3, 0, "split"))
        for valid in (0.3, 0.0)
    )
    assert np.array_equal(with_valid == TEST, without == TEST)
    assert not (without == VALID).any()


def test_another_seed_is_another_split_and_every_row_is_equally_likely() -> None:
    users = np.zeros(10, dtype=np.int64)
    drawn = np.zeros(10)
    for seed in range(2000):
        rng = generator(seed, 0, "split")
        drawn += splits.by_ratio(users, 1, test_ratio=0.2, valid_ratio=0, rng=rng) == TEST
    expected = 2000 * 0.2
    assert np.square(drawn - expected).sum() / expected < 30  # chi-square with 9 degrees of freedom: p < 0.001


def test_leave_one_out_takes_the_latest_for_test_and_the_one_before_for_valid() -> None:
    users = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
    times = np.array([5, 9, 7, 1, 1, 1, 4, 3, 8])
    labels = splits.leave_one_out(users, times, 4, with_valid=True)
    assert labels.tolist() == [TRAIN, TEST, VALID, TRAIN, VALID, TEST, TRAIN, TRAIN, TRAIN]
    labels = splits.leave_one_out(users, times, 4, with_valid=False)
    assert labels.tolist() == [TRAIN, TEST, TRAIN, TRAIN, TRAIN, TEST, TEST, TRAIN, TRAIN]


def test_the_latest_share_of_each_user_is_held_out() -> None:
    users = np.repeat([0, 1], 5)
    times = np.array([1, 2, 3, 4, 5, 50, 40, 30, 20, 10])
    labels = splits.by_user_time(users, times, 2, test_ratio=0.2, valid_ratio=0.2)
    assert labels.tolist() == [TRAIN, TRAIN, TRAIN, VALID, TEST, TEST, VALID, TRAIN, TRAIN, TRAIN]


def test_global_time_never_tears_one_moment_apart() -> None:
    times = np.array([1, 2, 3, 3, 3, 4, 5, 5, 5, 5])
    labels = splits.by_time(times, test_ratio=0.1, valid_ratio=0.3)
    assert labels.tolist() == [TRAIN] * 2 + [VALID] * 4 + [TEST] * 4
    labels = splits.by_time(times, test_ratio=0.1, valid_ratio=0.0)
    assert labels.tolist() == [TRAIN] * 6 + [TEST] * 4


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=50),
    st.floats(0.01, 0.4),
    st.floats(0, 0.4, allow_subnormal=False),
)
def test_nothing_in_train_is_later_than_anything_held_out(moments: list[int], test: float, valid: float) -> None:
    times = np.array(moments)
    try:
        labels = splits.by_time(times, test_ratio=test, valid_ratio=valid)
    except DataError:
        return
    for earlier, later in ((TRAIN, VALID), (TRAIN, TEST), (VALID, TEST)):
        if (labels == earlier).any() and (labels == later).any():
            assert times[labels == earlier].max() < times[labels == later].min()


def test_a_split_by_time_that_leaves_no_train_is_refused() -> None:
    with pytest.raises(DataError, match=r"leaves no interaction in train: 3 of 4 have the earliest time 7"):
        splits.by_time(np.array([7, 7, 8, 7]), test_ratio=0.5, valid_ratio=0)


@given(USERS, st.integers(1, 4), st.booleans())
def test_leave_k_holds_out_the_latest_of_users_who_have_enough(values: list[int], k: int, with_valid: bool) -> None:
    users, times = np.array(values), np.random.default_rng(0).permutation(len(values))
    labels = splits.leave_k(users, times, 6, n_held_out=k, with_valid=with_valid)
    for user in set(values):
        rows = np.flatnonzero(users == user)
        rows = rows[np.argsort(times[rows])]
        expected = [TRAIN] * len(rows)
        if len(rows) > k * (1 + with_valid):
            expected[-k:] = [TEST] * k
            if with_valid:
                expected[-2 * k : -k] = [VALID] * k
        assert labels[rows].tolist() == expected


def test_leaving_one_is_leave_one_out() -> None:
    users, times = np.repeat(np.arange(9), np.arange(1, 10)), np.arange(45)[::-1]
    one = splits.leave_k(users, times, 9, n_held_out=1, with_valid=True)
    assert np.array_equal(one, splits.leave_one_out(users, times, 9, with_valid=True))


@given(USERS, st.integers(2, 5), SHARE, st.integers(0, 9))
def test_each_interaction_is_tested_in_one_fold_and_train_keeps_one_of_each_user(
    values: list[int], n_folds: int, valid: float, seed: int
) -> None:
    users = np.array(values)
    tested = np.zeros(len(users), dtype=int)
    for fold in range(1, n_folds + 1):
        rng = generator(seed, 0, "split")
        labels = splits.by_fold(users, 6, n_folds=n_folds, fold=fold, valid_ratio=valid, rng=rng)
        tested += labels == TEST
        assert set(users[labels == TRAIN]) == set(values)
        for user in set(values):
            n, n_test = int((users == user).sum()), int((labels[users == user] == TEST).sum())
            assert n_test in ((0,) if n == 1 else (n // n_folds, -(-n // n_folds)))
            n_valid = min(int(np.floor(n * valid + 0.5 + 1e-9)), n - 1, n - n_test - 1)
            assert int((labels[users == user] == VALID).sum()) == n_valid
    assert np.array_equal(tested, (np.bincount(users, minlength=6)[users] > 1).astype(int))


def test_folds_are_of_like_size_although_users_are_small() -> None:
    users = np.repeat(np.arange(1000), 2)
    sizes = [
        int((splits.by_fold(users, 1000, n_folds=5, fold=f, valid_ratio=0, rng=generator(1, 0, "x")) == TEST).sum())
        for f in (1, 2, 3, 4, 5)
    ]
    assert sum(sizes) == 2000
    assert max(sizes) < 1.2 * min(sizes)


@given(USERS, SHARE, SHARE, st.integers(0, 9))
def test_cold_groups_are_whole_and_as_many_as_asked_for(
    values: list[int], test: float, valid: float, seed: int
) -> None:
    groups = np.array(values)
    labels = splits.by_group(groups, 8, test_ratio=test, valid_ratio=valid, rng=generator(seed, 0, "split"))
    per_group = [set(labels[groups == group].tolist()) for group in set(values)]
    assert all(len(found) == 1 for found in per_group)
    n = len(per_group)
    n_test = min(int(np.floor(n * test + 0.5 + 1e-9)), n - 1)
    assert per_group.count({TEST}) == n_test
    assert per_group.count({VALID}) == min(int(np.floor(n * valid + 0.5 + 1e-9)), n - 1, n - n_test - 1)
    assert per_group.count({TRAIN}) >= 1
