"""Test differences of groups: intervals, p values and effect sizes, over users, over seeds, or over both.

A test over users asks whether the difference would hold for other users of the same trained models; one over seeds,
whether it would for models of other seeds and the same users; one over both, whether it would for other users and
seeds. The first two take what varies in the other way for fixed, and find differences that are none.

Shapes: S seeds, U users, M metrics, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from recrun.compare.difference import Difference, without_rounding
from recrun.compare.ranks import rank_sum, signed_rank
from recrun.compare.resampling import label_exchange, means_of_resampled, pigeonhole, sign_flips
from recrun.compare.skew import Skew
from recrun.compare.student import Tails, variance_of
from recrun.errors import ConfigError
from recrun.metrics.ranking import Doubles

LEVEL: Final = 0.05
N_RESAMPLES: Final = 10_000
OVERS: Final = ("users", "seeds", "both")


@dataclass(frozen=True, eq=False)
class Findings:
    """What a test found, for each of M metrics; NaN where it could not be told.

    Args:
        difference_M: the mean of the group minus that of the baseline.
        low_M: the lower end of its 95 % interval.
        high_M: the upper end.
        p_M: the two-sided p value, not corrected.
        effect_M: the effect size. Of "wilcoxon" it is the rank-biserial correlation. Otherwise it is the difference in
            standard deviations: of the users' differences; over seeds, of the seeds' differences or, where groups have
            other seeds, of the pooled seeds.
        n: of how many users, or seeds, the test is; for each metric.
    """

    difference_M: Doubles
    low_M: Doubles
    high_M: Doubles
    p_M: Doubles
    effect_M: Doubles
    n: npt.NDArray[np.int64]


def assess(difference: Difference, test: str = "t", over: str = "users", n_resamples: int = N_RESAMPLES) -> Findings:
    """Test a difference of two groups.

    Args:
        difference: the groups.
        test: one of `TESTS`. The intervals of "wilcoxon" and "permutation" are those of "t".
        over: what the groups are a sample of: "users", "seeds" or "both".
        n_resamples: how many resamples "permutation" and "bootstrap" draw.

    Raises:
        ConfigError: there is no such test, or it needs more seeds.
    """
    refuse_impossible(test, over, difference.n_seeds)
    tested = TESTS[test](difference, over, n_resamples)
    # A single value tells nothing of others, whatever a test makes of it.
    known_M = ~np.isnan(tested.difference_M) & (tested.n > 1)
    values = {name: getattr(tested, name) for name in ("low_M", "high_M", "p_M", "effect_M")}
    return replace(tested, **{name: np.where(known_M, each_M, np.nan) for name, each_M in values.items()})


def refuse_impossible(test: str, over: str, n_seeds: tuple[int, int]) -> None:
    """Refuse a test that cannot be made of groups with so many seeds.

    Raises:
        ConfigError: it cannot; the message says why, and what can.
    """
    if test not in TESTS:
        raise ConfigError(f"expected a test among {', '.join(TESTS)}, found {test!r}")
    if over not in OVERS:
        raise ConfigError(f"expected a test over one of {', '.join(OVERS)}, found {over!r}")
    if over == "both" and test in ("wilcoxon", "permutation"):
        raise ConfigError(
            f"{test} exchanges values one by one, and cannot be over users and seeds at once, where the values of a "
            "seed, and of a user, belong together; test with t or bootstrap, or over users or seeds alone"
        )
    if over != "users" and min(n_seeds) < 2:
        raise ConfigError(f"a test over {over} needs at least 2 seeds of each group; test over users, or train more")


def t_test(difference: Difference, over: str, n_resamples: int = 0) -> Findings:
    """Compare the difference with its standard error.

    - Over users: Student's paired test of the users' differences (averaged over seeds).
    - Over seeds: Student's paired test of the seeds' differences or, where seeds differ, Welch's test.
    - Over both: users and seeds are crossed samples. With the variances V of the mean difference if only users, only
      seeds, or only what depends on both were a sample, its variance is V_users + V_seeds - V_both, since each of the
      first two contains the third; at least the larger of the two. The ratio is referred to the t distributions of
      users and of seeds, averaged with the weights V_users and V_seeds: Satterthwaite's degrees of freedom, estimated
      from few seeds, would find too many differences (`benchmarks/calibration.py`).

    Source: Student (1908); Welch, Biometrika 34 (1947). Over both: the expected mean squares of a two-way layout with
    random effects (Searle, Casella and McCulloch, Variance components, 1992); the weights are those with which Cochran
    and Cox (Experimental designs, 1950) average critical values.
    """
    variance_M = variance_of(difference, over)
    tails = Tails.of(difference, over)
    center_M = _center(difference, over)
    error_M = np.sqrt(variance_M)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_M = 2 * tails.beyond(np.abs(center_M / error_M))
    p_M = np.where(variance_M == 0, np.where(center_M == 0, 1.0, 0.0), p_M)
    half_M = np.where(variance_M == 0, 0.0, tails.critical(LEVEL / 2) * error_M)
    n = _n(difference, over)
    return Findings(center_M, center_M - half_M, center_M + half_M, p_M, _standardised(difference, over), n)


def wilcoxon(difference: Difference, over: str, n_resamples: int = 0) -> Findings:
    """Compare by ranks: signed ranks of users or paired seeds, or the ranks of seeds of two groups."""
    if over == "users":
        found = [signed_rank(values_N) for values_N in difference.users_UM.T]
    elif difference.is_paired:
        found = [signed_rank(values_N) for values_N in difference.seeds[0].T]
    else:
        found = [rank_sum(*pair) for pair in zip(*(seeds_SM.T for seeds_SM in difference.seeds), strict=True)]
    p_M, effect_M = (np.array(column) for column in zip(*found, strict=True)) if found else (np.zeros(0), np.zeros(0))
    return replace(t_test(difference, over), p_M=p_M, effect_M=effect_M)


def permutation(difference: Difference, over: str, n_resamples: int = N_RESAMPLES) -> Findings:
    """Compare with what chance would make of the same values: signs flipped, or labels exchanged.

    Source: Fisher, The design of experiments (1935); Pitman, JRSS Supplement 4 (1937).
    """
    if over == "users":
        p_M = sign_flips(difference.users_UM, n_resamples)
    elif difference.is_paired:
        p_M = sign_flips(difference.seeds[0], n_resamples)
    else:
        group_SM, baseline_SM = difference.seeds
        p_M = label_exchange(group_SM, baseline_SM, n_resamples)
    return replace(t_test(difference, over), p_M=p_M)


def bootstrap(difference: Difference, over: str, n_resamples: int = N_RESAMPLES, *, bca: bool = True) -> Findings:
    """Draw users or seeds with replacement, and take the interval from the differences so found.

    Over users and over seeds, the interval is bias-corrected and accelerated (BCa); over both, and without `bca`, it is
    between the percentiles. The p value is the smallest level whose interval leaves out 0, and never below 1 / (R + 1).

    Source: Efron, Better bootstrap confidence intervals, JASA 82 (1987); over both see
    `recrun.compare.resampling.pigeonhole`.
    """
    center_M = _center(difference, over)
    if over == "both":
        drawn_RM, samples = pigeonhole(difference, n_resamples), None
    elif over == "users":
        drawn_RM, samples = means_of_resampled(difference.users_UM, n_resamples, "users"), [difference.users_UM]
    else:
        samples = list(difference.seeds)
        drawn = [means_of_resampled(arm, n_resamples, f"seeds of arm {place}") for place, arm in enumerate(samples)]
        drawn_RM = drawn[0] if len(drawn) == 1 else drawn[0] - drawn[1]
    drawn_RM = without_rounding(drawn_RM, difference.size_M)
    skew = Skew.of(drawn_RM, center_M, samples if bca else None)
    low_M, high_M = (skew.quantile(drawn_RM, level) for level in (LEVEL / 2, 1 - LEVEL / 2))
    found = _standardised(difference, over)
    return Findings(center_M, low_M, high_M, skew.p(drawn_RM), found, _n(difference, over))


TESTS: Final[dict[str, Callable[..., Findings]]] = {
    "t": t_test,
    "wilcoxon": wilcoxon,
    "permutation": permutation,
    "bootstrap": bootstrap,
}
"""The tests by the names that `recrun compare --test` takes."""


def _center(difference: Difference, over: str) -> Doubles:
    if over != "seeds":
        return difference.mean_M
    means = [seeds_SM.mean(axis=0) for seeds_SM in difference.seeds]
    return without_rounding(np.asarray(means[0] if len(means) == 1 else means[0] - means[1]), difference.size_M)


def _standardised(difference: Difference, over: str) -> Doubles:
    """Return the difference in standard deviations; 0 if it is 0, and infinite if nothing varies."""
    if over == "seeds":
        parts = [seeds_SM.var(axis=0, ddof=1) * (len(seeds_SM) - 1) for seeds_SM in difference.seeds]
        variance_M = sum(parts) / sum(len(seeds_SM) - 1 for seeds_SM in difference.seeds)
    else:
        variance_M = difference.variance_of_users().variance_M * difference.n_users_M
    center_M = _center(difference, over)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(center_M == 0, 0.0, center_M / np.sqrt(variance_M)))


def _n(difference: Difference, over: str) -> npt.NDArray[np.int64]:
    if over != "seeds":
        return difference.n_users_M
    n_seeds = difference.n_seeds[0] if difference.is_paired else sum(difference.n_seeds)
    return np.full(len(difference.mean_M), n_seeds, dtype=np.int64)
