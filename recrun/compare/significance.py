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

from recrun.compare.difference import Difference, Doubles, Part, mean_over, ratio
from recrun.compare.ranks import rank_sum, signed_rank
from recrun.compare.resampling import label_exchange, means_of_resampled, pigeonhole, sign_flips
from recrun.errors import ConfigError

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
      first two contains the third; at least the larger of the two. The degrees of freedom are Satterthwaite's.

    Source: Student (1908); Welch, Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946). The mixed-model
    view of users and seeds follows from the expected mean squares of a two-way layout with random effects.
    """
    from scipy.special import stdtr, stdtrit

    variance_M, df_M = variance_of(difference, over)
    center_M = _center(difference, over)
    error_M = np.sqrt(variance_M)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_M = 2 * stdtr(df_M, -np.abs(center_M / error_M))
    p_M = np.where(variance_M == 0, np.where(center_M == 0, 1.0, 0.0), p_M)
    half_M = np.where(variance_M == 0, 0.0, stdtrit(df_M, 1 - LEVEL / 2) * error_M)
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
    skew = _Skew.of(drawn_RM, center_M, samples if bca else None)
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


@dataclass(frozen=True, eq=False)
class _Skew:
    """By how much a bootstrap distribution of each metric is biased and skewed."""

    bias_M: Doubles
    acceleration_M: Doubles

    @classmethod
    def of(cls, drawn_RM: Doubles, center_M: Doubles, samples: list[Doubles] | None) -> _Skew:
        """Return that of the BCa method, or of the percentile method if there are no `samples` to judge from."""
        from scipy.special import ndtri

        if samples is None:
            return cls(np.zeros_like(center_M), np.zeros_like(center_M))
        cubes_M, squares_M = np.zeros_like(center_M), np.zeros_like(center_M)
        for sign, sample_NM in zip((1.0, -1.0), samples, strict=False):
            n_M = (~np.isnan(sample_NM)).sum(axis=0)
            deviations_NM = np.nan_to_num(sample_NM - mean_over(sample_NM, n_M))
            cubes_M += sign * ratio((deviations_NM**3).sum(axis=0), n_M.astype(np.float64) ** 3)
            squares_M += ratio((deviations_NM**2).sum(axis=0), n_M.astype(np.float64) ** 2)
        least = 1 / (2 * len(drawn_RM))
        bias_M = ndtri(np.clip(_share_below(drawn_RM, center_M), least, 1 - least))
        return cls(bias_M, np.nan_to_num(ratio(cubes_M, 6 * squares_M**1.5)))

    def quantile(self, drawn_RM: Doubles, level: float) -> Doubles:
        """Return the end of an interval: the quantile of the distribution that the level stands for."""
        from scipy.special import ndtr, ndtri

        shifted_M = self.bias_M + ndtri(level)
        levels_M = ndtr(self.bias_M + shifted_M / (1 - self.acceleration_M * shifted_M))
        ends = [
            np.nan if np.isnan(drawn_R).all() or np.isnan(at) else np.nanquantile(drawn_R, at)
            for drawn_R, at in zip(drawn_RM.T, levels_M, strict=True)
        ]
        return np.array(ends)

    def p(self, drawn_RM: Doubles) -> Doubles:
        """Return the two-sided p value of 0: the level at which an end of the interval is 0."""
        from scipy.special import ndtr, ndtri

        n_resamples = len(drawn_RM)
        share_M = (_share_below(drawn_RM, np.zeros(drawn_RM.shape[1])) * n_resamples + 0.5) / (n_resamples + 1)
        from_bias_M = ndtri(share_M) - self.bias_M
        tail_M = ndtr(from_bias_M / np.maximum(1 + self.acceleration_M * from_bias_M, 1e-12) - self.bias_M)
        return np.asarray(np.clip(2 * np.minimum(tail_M, 1 - tail_M), 1 / (n_resamples + 1), 1.0))


def _share_below(drawn_RM: Doubles, value_M: Doubles) -> Doubles:
    """Return the share of resamples below a value, those that equal it counting half; within rounding they do."""
    close_M = 1e-12 * np.abs(drawn_RM).mean(axis=0)
    below_M, up_to_M = (drawn_RM < value_M - close_M).sum(axis=0), (drawn_RM <= value_M + close_M).sum(axis=0)
    return np.asarray((below_M + up_to_M) / (2 * len(drawn_RM)))


def variance_of(difference: Difference, over: str) -> tuple[Doubles, Doubles]:
    """Return the variance of the mean difference and its degrees of freedom (Satterthwaite)."""
    of_users = [difference.variance_of_users()] if over != "seeds" else []
    of_seeds = difference.variances_of_seeds() if over != "users" else []
    if over != "both":
        parts = of_users + of_seeds
        variance_M = _total(parts)
        return variance_M, _satterthwaite(variance_M, parts)
    of_interaction = difference.variances_of_interaction()
    users_M, seeds_M = _total(of_users), _total(of_seeds)
    variance_M = np.maximum(users_M + seeds_M - _total(of_interaction), np.maximum(users_M, seeds_M))
    return variance_M, _satterthwaite(variance_M, [*of_users, *of_seeds, *of_interaction])


def _satterthwaite(variance_M: Doubles, parts: list[Part]) -> Doubles:
    return ratio(variance_M**2, sum(part.variance_M**2 / np.maximum(part.df_M, 1e-300) for part in parts))


def _total(parts: list[Part]) -> Doubles:
    return np.asarray(sum(part.variance_M for part in parts))


def _center(difference: Difference, over: str) -> Doubles:
    if over != "seeds":
        return difference.mean_M
    means = [seeds_SM.mean(axis=0) for seeds_SM in difference.seeds]
    return np.asarray(means[0] if len(means) == 1 else means[0] - means[1])


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
