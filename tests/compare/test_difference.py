"""What a difference of two groups is made of, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from recrun.compare.difference import Difference

RANDOM = np.random.default_rng(4)
GROUP = RANDOM.random((3, 7, 2))
BASELINE = RANDOM.random((4, 7, 2))


def test_a_difference_is_that_of_the_groups_means() -> None:
    expected = GROUP.mean(axis=(0, 1)) - BASELINE.mean(axis=(0, 1))
    assert Difference.of(GROUP, BASELINE, paired=False).mean_M == pytest.approx(expected)
    paired = Difference.of(GROUP, BASELINE[:3], paired=True)
    assert paired.mean_M == pytest.approx((GROUP - BASELINE[:3]).mean(axis=(0, 1)))
    assert paired.n_seeds == (3, 3)
    assert Difference.of(GROUP, BASELINE, paired=False).n_seeds == (3, 4)


def test_values_of_users_are_averaged_over_the_seeds_of_their_group() -> None:
    found = Difference.of(GROUP, BASELINE, paired=False).users_UM
    assert found == pytest.approx(GROUP.mean(axis=0) - BASELINE.mean(axis=0))


def test_a_user_for_whom_a_run_is_undefined_is_left_out_of_that_metric_in_both_groups() -> None:
    group, baseline = GROUP.copy(), BASELINE.copy()
    group[1, 2, 0] = np.nan
    baseline[3, 5, 0] = np.nan
    kept = [0, 1, 3, 4, 6]
    found = Difference.of(group, baseline, paired=False)
    assert found.n_users_M.tolist() == [5, 7]
    less = Difference.of(GROUP[:, kept], BASELINE[:, kept], paired=False)
    whole = Difference.of(GROUP, BASELINE, paired=False)
    assert found.mean_M == pytest.approx([less.mean_M[0], whole.mean_M[1]])
    for name in ("variances_of_seeds", "variances_of_interaction"):
        parts = zip(getattr(found, name)(), getattr(less, name)(), getattr(whole, name)(), strict=True)
        for part, of_less, of_whole in parts:
            assert part.variance_M == pytest.approx([of_less.variance_M[0], of_whole.variance_M[1]])
            assert part.df_M.tolist() == [of_less.df_M[0], of_whole.df_M[1]]
    expected = [less.variance_of_users().variance_M[0], whole.variance_of_users().variance_M[1]]
    assert found.variance_of_users().variance_M == pytest.approx(expected)


def test_variances_equal_the_mean_squares_of_a_two_way_layout() -> None:
    differences = GROUP[:, :, 0] - BASELINE[:3, :, 0]
    n_seeds, n_users = differences.shape
    grand, rows, columns = differences.mean(), differences.mean(axis=1), differences.mean(axis=0)
    of_seeds = sum(n_users * (row - grand) ** 2 for row in rows) / (n_seeds - 1)
    of_users = sum(n_seeds * (column - grand) ** 2 for column in columns) / (n_users - 1)
    rest = 0.0
    for seed in range(n_seeds):
        for user in range(n_users):
            rest += (differences[seed, user] - rows[seed] - columns[user] + grand) ** 2
    rest /= (n_seeds - 1) * (n_users - 1)
    found = Difference.of(GROUP, BASELINE[:3], paired=True)
    n = n_seeds * n_users
    assert found.variance_of_users().variance_M[0] == pytest.approx(of_users / n)
    assert found.variances_of_seeds()[0].variance_M[0] == pytest.approx(of_seeds / n)
    assert found.variances_of_interaction()[0].variance_M[0] == pytest.approx(rest / n)
    assert found.variances_of_interaction()[0].df_M[0] == (n_seeds - 1) * (n_users - 1)


def test_a_metric_that_is_undefined_for_everyone_has_no_mean() -> None:
    group = GROUP.copy()
    group[:, :, 1] = np.nan
    found = Difference.of(group, BASELINE, paired=False)
    assert np.isnan(found.mean_M).tolist() == [False, True]
    assert np.isnan(found.variance_of_users().variance_M).tolist() == [False, True]
    assert found.n_users_M.tolist() == [7, 0]


def test_groups_of_other_users_or_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the same users and metrics, found \(3, 7, 2\) and \(4, 6, 2\)"):
        Difference.of(GROUP, BASELINE[:, :6], paired=False)
    with pytest.raises(ValueError, match="the same number of seeds, found 3 and 4"):
        Difference.of(GROUP, BASELINE, paired=True)
    with pytest.raises(ValueError, match="the same users and metrics"):
        Difference.of(GROUP[0], BASELINE[0], paired=False)
