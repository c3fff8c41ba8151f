"""Tests of differences, against scipy, against enumeration, and on data without a difference."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from recrun.compare.difference import Difference
from recrun.compare.significance import TESTS, Findings, assess, bootstrap
from recrun.compare.student import variance_of
from recrun.errors import ConfigError

RANDOM = np.random.default_rng(7)
GROUP = RANDOM.normal(0.1, 1, (4, 40, 3))
BASELINE = RANDOM.normal(0, 1, (5, 40, 3))
PAIRED = Difference.of(GROUP, BASELINE[:4], paired=True)
UNPAIRED = Difference.of(GROUP, BASELINE, paired=False)
ONE_SEED = Difference.of(GROUP[:1], BASELINE[:1], paired=True)
POSSIBLE = [
    (test, over)
    for test, over in product(TESTS, ("users", "seeds", "both"))
    if over != "both" or test in ("t", "bootstrap")
]


SEEDS = ((6, 1), (5, 6), (3, 6), (10, 1))


@pytest.mark.parametrize(
    ("test", "over", "n_seeds"),
    [
        (*each, n_seeds)
        for each, n_seeds in product(POSSIBLE, SEEDS)
        if each[1] == "users" or (each[1] == "both" and min(n_seeds) > 1)
    ],
)
def test_equal_values_of_other_numbers_of_seeds_do_not_differ(test: str, over: str, n_seeds: tuple[int, int]) -> None:
    values = np.random.default_rng(0).random((1, 2000, 1))
    group, baseline = (np.repeat(values, n, axis=0) for n in n_seeds)
    found = assess(Difference.of(group, baseline, paired=False), test, over, 200)
    assert (found.difference_M.item(), found.p_M.item(), found.effect_M.item()) == (0.0, 1.0, 0.0)


def test_users_who_tie_over_other_numbers_of_seeds_are_ties_of_ranks() -> None:
    random = np.random.default_rng(1)
    base = random.random((1000, 1))
    shift = np.where(np.arange(1000) % 2, random.normal(0, 0.1, 1000), 0.0)[:, None]
    found = assess(Difference.of(np.stack([base + shift] * 10), base[None], paired=False), "wilcoxon")
    expected = stats.wilcoxon(shift[:, 0], zero_method="wilcox", correction=False, method="approx")
    assert found.p_M.item() == pytest.approx(expected.pvalue)


def test_t_over_users_is_the_paired_test_of_scipy() -> None:
    for found, baseline in ((assess(PAIRED), BASELINE[:4]), (assess(UNPAIRED), BASELINE)):
        expected = stats.ttest_rel(GROUP.mean(axis=0), baseline.mean(axis=0))
        interval = expected.confidence_interval()
        assert found.p_M == pytest.approx(expected.pvalue)
        assert found.low_M == pytest.approx(interval.low)
        assert found.high_M == pytest.approx(interval.high)
        assert found.n.tolist() == [40, 40, 40]


def test_t_over_paired_seeds_is_the_paired_test_of_scipy() -> None:
    found = assess(PAIRED, "t", "seeds")
    expected = stats.ttest_rel(GROUP.mean(axis=1), BASELINE[:4].mean(axis=1))
    assert found.p_M == pytest.approx(expected.pvalue)
    assert found.low_M == pytest.approx(expected.confidence_interval().low)
    assert found.n.tolist() == [4, 4, 4]


def test_t_over_other_seeds_is_the_test_of_welch() -> None:
    found = assess(UNPAIRED, "t", "seeds")
    expected = stats.ttest_ind(GROUP.mean(axis=1), BASELINE.mean(axis=1), equal_var=False)
    assert found.p_M == pytest.approx(expected.pvalue)
    assert found.high_M == pytest.approx(expected.confidence_interval().high)
    assert found.n.tolist() == [9, 9, 9]


def test_t_leaves_out_the_users_who_are_undefined() -> None:
    group = GROUP.copy()
    group[2, :5, 1] = np.nan
    found = assess(Difference.of(group, BASELINE, paired=False))
    expected = stats.ttest_rel(GROUP.mean(axis=0)[5:], BASELINE.mean(axis=0)[5:]).pvalue[1]
    assert found.p_M[1] == pytest.approx(expected)
    assert found.p_M[[0, 2]].tolist() == assess(UNPAIRED).p_M[[0, 2]].tolist()
    assert found.n.tolist() == [40, 35, 40]


@pytest.mark.parametrize("difference", [PAIRED, UNPAIRED])
def test_the_variance_over_both_is_never_below_that_over_one(difference: Difference) -> None:
    both_M = variance_of(difference, "both")
    users_M, seeds_M = (variance_of(difference, over) for over in ("users", "seeds"))
    assert (both_M >= np.maximum(users_M, seeds_M)).all()
    sum_M = users_M + seeds_M - sum(part.variance_M for part in difference.variances_of_interaction())
    assert both_M == pytest.approx(np.maximum(sum_M, np.maximum(users_M, seeds_M)))


@pytest.mark.parametrize("difference", [PAIRED, UNPAIRED])
def test_p_over_both_is_between_those_by_the_degrees_of_freedom_of_users_and_of_seeds(difference: Difference) -> None:
    found, error_M = assess(difference, "t", "both"), np.sqrt(variance_of(difference, "both"))
    t_M = np.abs(found.difference_M) / error_M
    by_users_M, by_seeds_M = (2 * stats.t.sf(t_M, df) for df in (39, 3))
    assert (by_users_M < found.p_M).all()
    assert (found.p_M < by_seeds_M).all()
    # The end of an interval is as far away as a difference whose p is 0.05.
    at_end = Difference(tuple(arm - sign * found.low_M for arm, sign in zip(difference.arms, (1, 0), strict=False)))
    assert assess(at_end, "t", "both").p_M == pytest.approx([0.05] * 3)


def test_over_both_is_over_seeds_where_users_do_not_vary() -> None:
    shifts = RANDOM.normal(0, 1, (4, 1, 1))
    difference = Difference.of(np.broadcast_to(shifts, (4, 30, 1)), np.zeros((4, 30, 1)), paired=True)
    both, seeds = (assess(difference, "t", over) for over in ("both", "seeds"))
    assert both.p_M == pytest.approx(seeds.p_M)
    assert both.low_M == pytest.approx(seeds.low_M)


def test_over_both_is_over_users_where_seeds_do_not_vary() -> None:
    users = RANDOM.normal(0.2, 1, (1, 30, 1))
    difference = Difference.of(np.broadcast_to(users, (4, 30, 1)), np.zeros((4, 30, 1)), paired=True)
    both, over_users = (assess(difference, "t", over) for over in ("both", "users"))
    assert both.p_M == pytest.approx(over_users.p_M)


@pytest.mark.parametrize("n_users", [40, 300])
def test_wilcoxon_over_users_is_that_of_scipy(n_users: int) -> None:
    differences = RANDOM.normal(0.1, 1, (1, n_users, 2))
    found = assess(Difference.of(differences, np.zeros_like(differences), paired=True), "wilcoxon")
    for p, values in zip(found.p_M, differences[0].T, strict=True):
        assert p == pytest.approx(float(stats.wilcoxon(values).pvalue))


def test_wilcoxon_over_seeds_is_that_of_scipy() -> None:
    paired, unpaired = assess(PAIRED, "wilcoxon", "seeds"), assess(UNPAIRED, "wilcoxon", "seeds")
    for metric in range(3):
        group, baseline = GROUP.mean(axis=1)[:, metric], BASELINE.mean(axis=1)[:, metric]
        assert paired.p_M[metric] == pytest.approx(float(stats.wilcoxon(group, baseline[:4]).pvalue))
        expected = stats.mannwhitneyu(group, baseline, method="exact").pvalue
        assert unpaired.p_M[metric] == pytest.approx(float(expected))


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(values.mean(axis=axis))


def _difference_of_means(group: np.ndarray, baseline: np.ndarray, axis: int) -> np.ndarray:
    return np.asarray(group.mean(axis=axis) - baseline.mean(axis=axis))


@pytest.mark.parametrize("n_users", [2, 7, 11])
def test_permutation_of_few_users_counts_all_patterns_of_signs(n_users: int) -> None:
    differences = RANDOM.normal(0.5, 1, n_users)
    difference = Difference.of(differences[None, :, None], np.zeros((1, n_users, 1)), paired=True)
    sums = [np.dot(differences, signs) for signs in product((-1, 1), repeat=n_users)]
    expected = np.mean([abs(each) >= abs(differences.sum()) - 1e-12 for each in sums])
    found = assess(difference, "permutation").p_M[0]
    assert found == pytest.approx(expected)
    theirs = stats.permutation_test(
        (differences,), _mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert found == pytest.approx(float(theirs.pvalue))


def test_permutation_over_seeds_is_that_of_scipy() -> None:
    group, baseline = GROUP.mean(axis=1), BASELINE.mean(axis=1)
    for metric in range(3):
        theirs = stats.permutation_test(
            (group[:, metric], baseline[:, metric]), _difference_of_means, n_resamples=np.inf, vectorized=True
        )
        found = assess(UNPAIRED, "permutation", "seeds").p_M[metric]
        assert found == pytest.approx(float(theirs.pvalue))
        theirs = stats.permutation_test(
            (group[:, metric] - baseline[:4, metric],),
            _mean,
            permutation_type="samples",
            n_resamples=np.inf,
            vectorized=True,
        )
        assert assess(PAIRED, "permutation", "seeds").p_M[metric] == pytest.approx(float(theirs.pvalue))


def test_permutation_of_many_is_close_to_t_and_counts_the_observed_pattern() -> None:
    group = RANDOM.normal(0, 1, (1, 3_000, 4)) + np.array([0.0, 0.02, 0.05, 0.2])
    difference = Difference.of(group, np.zeros_like(group), paired=True)
    found, t = assess(difference, "permutation"), assess(difference)
    assert found.p_M == pytest.approx(t.p_M, abs=0.02)
    assert found.p_M[3] == pytest.approx(1 / 10_001)
    assert found.low_M.tolist() == t.low_M.tolist()
    many = Difference.of(RANDOM.random((20, 1, 1)), RANDOM.random((20, 1, 1)), paired=False)
    assert assess(many, "permutation", "seeds").p_M == pytest.approx(assess(many, "t", "seeds").p_M, abs=0.03)


def test_the_intervals_of_the_bootstrap_are_those_of_scipy_given_its_resamples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = RANDOM.exponential(1, 50)
    difference = Difference.of(values[None, :, None], np.zeros((1, 50, 1)), paired=True)
    for method, bca in (("BCa", True), ("percentile", False)):
        theirs = stats.bootstrap((values,), np.mean, method=method, n_resamples=2_000, random_state=1)
        drawn = theirs.bootstrap_distribution[:, None]
        monkeypatch.setattr("recrun.compare.significance.means_of_resampled", lambda *_, drawn=drawn: drawn)
        found = bootstrap(difference, "users", bca=bca)
        assert found.low_M[0] == pytest.approx(theirs.confidence_interval.low)
        assert found.high_M[0] == pytest.approx(theirs.confidence_interval.high)


def test_the_bootstrap_of_other_seeds_is_that_of_scipy_within_its_noise() -> None:
    group, baseline = RANDOM.exponential(1, (12, 1, 1)), RANDOM.exponential(1.5, (15, 1, 1))
    found = assess(Difference.of(group, baseline, paired=False), "bootstrap", "seeds", 20_000)
    samples = (group[:, 0, 0], baseline[:, 0, 0])
    theirs = stats.bootstrap(
        samples, _difference_of_means, method="BCa", n_resamples=20_000, vectorized=True, random_state=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.low_M[0] == pytest.approx(theirs.low, abs=0.03 * width)
    assert found.high_M[0] == pytest.approx(theirs.high, abs=0.03 * width)


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.35])
def test_p_of_the_bootstrap_says_whether_the_interval_leaves_out_zero(shift: float) -> None:
    values = np.random.default_rng(2).exponential(1, (1, 60, 20)) - 1 - shift
    found = assess(Difference.of(values, np.zeros_like(values), paired=True), "bootstrap")
    leaves_out_M = (found.low_M > 0) | (found.high_M < 0)
    clear_M = np.abs(found.p_M - 0.05) > 0.002  # an end of an interval lies between two resamples
    assert ((found.p_M < 0.05) == leaves_out_M)[clear_M].all()


def test_the_bootstrap_over_both_is_at_least_as_wide_as_over_one() -> None:
    both, users, seeds = (assess(UNPAIRED, "bootstrap", over) for over in ("both", "users", "seeds"))
    for other in (users, seeds):
        assert (both.high_M - both.low_M > 0.98 * (other.high_M - other.low_M)).all()


def test_the_bootstrap_over_both_has_the_variance_that_is_expected_of_it() -> None:
    # Owen 2007, theorem 2: drawing rows and columns with replacement, the variance of a mean is close to
    # users + seeds + interaction, each of the sums of squares divided by its number.
    differences = RANDOM.normal(0, 1, (6, 50)) + RANDOM.normal(0, 1, (6, 1)) + RANDOM.normal(0, 2, (1, 50))
    difference = Difference.of(differences[:, :, None], np.zeros((6, 50, 1)), paired=True)
    found = assess(difference, "bootstrap", "both")
    rows, columns = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - rows[:, None] - columns + differences.mean()
    variance = rows.var() / 6 + columns.var() / 50 + rest.var() / 300
    assert (found.high_M - found.low_M)[0] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.04)


@pytest.mark.parametrize(("test", "over"), POSSIBLE)
def test_the_same_runs_twice_are_no_difference(test: str, over: str) -> None:
    for paired in (True, False):
        found = assess(Difference.of(GROUP, GROUP, paired=paired), test, over)
        assert found.difference_M.tolist() == [0.0, 0.0, 0.0]
        assert (found.p_M > 0.9).all()
        assert found.effect_M == pytest.approx(0.0, abs=1e-12)
        if paired:
            assert found.p_M.tolist() == [1.0, 1.0, 1.0]
            assert found.low_M.tolist() == found.high_M.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("test", "over"), POSSIBLE)
@pytest.mark.parametrize("difference", [PAIRED, UNPAIRED])
def test_exchanging_the_groups_changes_the_sign_alone(test: str, over: str, difference: Difference) -> None:
    arms = difference.arms
    other = Difference((-arms[0],) if difference.is_paired else arms[::-1])
    found, back = assess(difference, test, over, 2_000), assess(other, test, over, 2_000)
    noise = 0.1 if test == "bootstrap" else 1e-9
    assert found.difference_M == pytest.approx(-back.difference_M)
    assert found.p_M == pytest.approx(back.p_M, abs=noise)
    assert found.effect_M == pytest.approx(-back.effect_M)
    assert found.low_M == pytest.approx(-back.high_M, abs=noise)


@pytest.mark.parametrize("test", ["t", "wilcoxon", "permutation", "bootstrap"])
def test_a_metric_that_nobody_has_is_not_tested(test: str) -> None:
    group = GROUP.copy()
    group[:, :, 1] = np.nan
    for over in ("users", "seeds"):
        found = assess(Difference.of(group, BASELINE, paired=False), test, over)
        assert np.isnan(found.p_M).tolist() == [False, True, False]
        assert np.isnan(found.difference_M).tolist() == [False, True, False]
        assert np.isnan(found.low_M).tolist() == [False, True, False]


def test_gaps_are_left_out_of_resamples() -> None:
    group = np.concatenate([GROUP[:1], np.full((1, 15, 3), np.nan)], axis=1)
    baseline = np.concatenate([BASELINE[:1], np.zeros((1, 15, 3))], axis=1)
    gaps = Difference.of(group, baseline, paired=True)
    assert assess(gaps, "permutation").p_M == pytest.approx(assess(ONE_SEED, "permutation").p_M, abs=0.02)
    found, expected = assess(gaps, "bootstrap"), assess(ONE_SEED, "bootstrap")
    assert found.low_M == pytest.approx(expected.low_M, abs=0.03)
    assert found.high_M == pytest.approx(expected.high_M, abs=0.03)


@pytest.mark.parametrize("test", ["t", "bootstrap", "permutation", "wilcoxon"])
def test_one_user_has_no_interval_that_tells_anything(test: str) -> None:
    found = assess(Difference.of([[[0.3]]], [[[0.1]]], paired=True), test)
    assert found.difference_M == pytest.approx([0.2])
    assert np.isnan(found.low_M[0])
    assert np.isnan(found.p_M[0])
    assert np.isnan(found.effect_M[0])


def test_a_difference_that_never_varies_is_certain() -> None:
    found = assess(Difference.of(np.ones((1, 9, 1)), np.zeros((1, 9, 1)), paired=True))
    assert found.p_M.tolist() == [0.0]
    assert (found.low_M[0], found.high_M[0]) == (1.0, 1.0)
    assert found.effect_M.tolist() == [np.inf]


def test_effects_are_differences_in_standard_deviations() -> None:
    users = GROUP.mean(axis=0) - BASELINE.mean(axis=0)
    assert assess(UNPAIRED).effect_M == pytest.approx(users.mean(axis=0) / users.std(axis=0, ddof=1))
    assert assess(UNPAIRED, "t", "both").effect_M == pytest.approx(assess(UNPAIRED).effect_M)
    group, baseline = GROUP.mean(axis=1), BASELINE.mean(axis=1)
    pooled = np.sqrt((3 * group.var(axis=0, ddof=1) + 4 * baseline.var(axis=0, ddof=1)) / 7)
    expected = (group.mean(axis=0) - baseline.mean(axis=0)) / pooled
    assert assess(UNPAIRED, "t", "seeds").effect_M == pytest.approx(expected)


@pytest.mark.parametrize(
    ("difference", "test", "over", "message"),
    [
        (PAIRED, "wilcoxon", "both", "exchanges values one by one"),
        (PAIRED, "permutation", "both", "exchanges values one by one"),
        (ONE_SEED, "t", "seeds", "over seeds needs at least 2 seeds of each group"),
        (ONE_SEED, "bootstrap", "both", "over both needs at least 2 seeds of each group"),
        (PAIRED, "z", "users", "expected a test among t, wilcoxon, permutation, bootstrap, found 'z'"),
        (PAIRED, "t", "items", "expected a test over one of users, seeds, both, found 'items'"),
    ],
)
def test_what_cannot_be_tested_is_refused_with_the_reason(
    difference: Difference, test: str, over: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        assess(difference, test, over)


def test_draws_are_the_same_each_time() -> None:
    for test in ("permutation", "bootstrap"):
        first, second = (assess(UNPAIRED, test) for _ in range(2))
        assert first.p_M.tolist() == second.p_M.tolist()
        assert first.low_M.tolist() == second.low_M.tolist()


def _nulls(ratio: float, n_seeds: int, *, paired: bool) -> Difference:
    """Return 2,000 comparisons of groups that do not differ, as metrics.

    Args:
        ratio: the variance of a mean difference that is due to seeds, relative to that due to users.
        n_seeds: the seeds of each group.
        paired: whether seeds are paired.
    """
    random, n_users = np.random.default_rng(11), 200
    taste_UM = random.normal(0, 1, (n_users, 2_000))

    def group() -> np.ndarray:
        of_users = random.normal(0, 0.5**0.5, (n_users, 2_000))
        of_seeds = random.normal(0, (ratio * n_seeds / n_users / 2) ** 0.5, (n_seeds, 1, 2_000))
        values: np.ndarray = taste_UM + of_users + of_seeds + random.normal(0, 1, (n_seeds, n_users, 2_000))
        return values

    return Difference.of(group(), group(), paired=paired)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("ratio", [0.0, 1.0, 4.0])
def test_over_both_finds_no_more_differences_than_it_may_where_there_are_none(ratio: float, paired: bool) -> None:
    rates = {over: _rate(assess(_nulls(ratio, 4, paired=paired), "t", over)) for over in ("users", "seeds", "both")}
    # Of 2,000 comparisons at a level of 0.05, the standard error is 0.005.
    assert rates["both"] < 0.07
    if ratio == 0:
        assert rates["users"] == pytest.approx(0.05, abs=0.015)
        assert rates["seeds"] > 0.1
    if ratio == 4:
        assert rates["seeds"] == pytest.approx(0.055, abs=0.02)
        assert rates["users"] > 0.2


def _rate(tested: Findings) -> float:
    return float((tested.p_M < 0.05).mean())
