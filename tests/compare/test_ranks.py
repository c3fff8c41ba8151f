"""Tests by ranks, against scipy and against the enumeration of all that chance could do."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from recrun.compare.ranks import EXACT, rank_sum, signed_rank


@pytest.mark.parametrize("n", [1, 2, 5, 12, 30, EXACT])
def test_the_signed_rank_test_without_ties_is_that_of_scipy(n: int) -> None:
    values = np.random.default_rng(n).normal(0.3, 1, n)
    assert signed_rank(values).p == pytest.approx(float(stats.wilcoxon(values, method="exact").pvalue))


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_signed_rank_test_of_many_values_is_the_approximation_of_scipy(shift: float) -> None:
    values = np.round(np.random.default_rng(3).normal(shift, 1, 2_000), 1)  # with zeros and ties
    expected = stats.wilcoxon(values, zero_method="wilcox", correction=False)
    assert signed_rank(values).p == pytest.approx(float(expected.pvalue), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_signed_rank_test_with_ties_counts_all_patterns_of_signs(seed: int) -> None:
    values = np.random.default_rng(seed).integers(-3, 5, 10).astype(float)
    known = values[values != 0]
    ranks = stats.rankdata(np.abs(known))
    sums = [float(np.dot(ranks, signs)) for signs in product((-1, 1), repeat=len(known))]
    found = float(np.dot(ranks, np.sign(known)))
    expected = np.mean([abs(each) >= abs(found) - 1e-9 for each in sums])
    assert signed_rank(values).p == pytest.approx(expected)
    assert signed_rank(values).effect == pytest.approx(found / ranks.sum())


def test_differences_that_are_all_zero_are_no_evidence() -> None:
    assert signed_rank([0.0, 0.0, 0.0]) == (1.0, 0.0)


def test_values_that_are_undefined_are_left_out() -> None:
    assert signed_rank([1.0, float("nan"), 2.0, -0.5]) == signed_rank([1.0, 2.0, -0.5])
    assert np.isnan(signed_rank([float("nan")]).p)
    assert np.isnan(signed_rank([]).p)
    assert np.isnan(rank_sum([1.0, float("nan")], [2.0]).p)
    assert np.isnan(rank_sum([], [2.0]).p)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 3), (2, 5), (8, 6), (25, 25)])
def test_the_rank_sum_test_without_ties_is_that_of_scipy(n: int, m: int) -> None:
    random = np.random.default_rng(n)
    group, baseline = random.normal(0.5, 1, n), random.normal(0, 1, m)
    expected = stats.mannwhitneyu(group, baseline, method="exact")
    assert rank_sum(group, baseline).p == pytest.approx(float(expected.pvalue))
    assert rank_sum(group, baseline).effect == pytest.approx(2 * float(expected.statistic) / (n * m) - 1)


@pytest.mark.parametrize("seed", range(5))
def test_the_rank_sum_test_with_ties_counts_all_choices(seed: int) -> None:
    random = np.random.default_rng(seed)
    group, baseline = random.integers(0, 4, 4).astype(float), random.integers(0, 4, 5).astype(float)
    ranks = stats.rankdata([*group, *baseline])
    sums = np.array([ranks[list(chosen)].sum() for chosen in combinations(range(9), 4)])
    found = ranks[:4].sum()
    tails = [(sums <= found + 1e-9).mean(), (sums >= found - 1e-9).mean()]
    assert rank_sum(group, baseline).p == pytest.approx(min(1.0, 2 * min(tails)))


def test_the_rank_sum_test_of_many_values_is_the_approximation_of_scipy() -> None:
    random = np.random.default_rng(5)
    group, baseline = random.integers(0, 30, 60).astype(float), random.integers(0, 32, 70).astype(float)
    expected = stats.mannwhitneyu(group, baseline, method="asymptotic", use_continuity=False)
    assert rank_sum(group, baseline).p == pytest.approx(float(expected.pvalue))


def test_samples_that_are_all_equal_are_no_evidence() -> None:
    assert rank_sum([1.0, 1.0], [1.0, 1.0, 1.0]) == (1.0, 0.0)
    assert rank_sum([1.0] * 40, [1.0] * 40) == (1.0, 0.0)
