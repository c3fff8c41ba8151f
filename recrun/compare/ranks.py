"""Wilcoxon's tests: of the signed ranks of differences, and of the ranks of two samples.

Both are conditional on the ranks, ties included. Up to `EXACT` values the distribution is counted exactly, beyond that
it is approximated by a normal one with its exact variance.
"""

from __future__ import annotations

from math import comb
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

EXACT: Final = 50
"""Up to so many values, the distribution is counted."""


class RankTest(NamedTuple):
    """The two-sided p value, and the rank-biserial correlation, from -1 to 1; NaN without values."""

    p: float
    effect: float


def signed_rank(differences_N: npt.ArrayLike) -> RankTest:
    """Test whether differences are symmetric around 0, by the ranks of their sizes.

    Differences that are 0 are left out; if all are, p is 1.

    Args:
        differences_N: the differences; NaN is left out.

    Source: Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945).

    >>> signed_rank([1.0, 2.0, 3.0, 4.0, 5.0, -0.5])
    RankTest(p=0.0625, effect=0.9047619047619048)
    """
    values_N = np.asarray(differences_N, dtype=np.float64)
    values_N = values_N[~np.isnan(values_N)]
    n_known, values_N = len(values_N), values_N[values_N != 0]
    if not len(values_N):
        return RankTest(1.0, 0.0) if n_known else RankTest(np.nan, np.nan)
    doubled_N = _doubled_ranks(np.abs(values_N))
    total, positive = int(doubled_N.sum()), int(doubled_N[values_N > 0].sum())
    effect = (2 * positive - total) / total
    if len(values_N) > EXACT:
        deviation = float(np.sqrt((doubled_N.astype(np.float64) ** 2).sum()) / 2)
        return RankTest(_normal_p((positive - total / 2) / deviation), effect)
    counts = np.zeros(total + 1)
    counts[0] = 1.0
    for rank in doubled_N:
        counts[rank:] += counts[: total + 1 - rank].copy()
    return RankTest(_counted_p(counts, positive), effect)


def rank_sum(group_N: npt.ArrayLike, baseline_N: npt.ArrayLike) -> RankTest:
    """Test whether two samples have the same distribution, by their ranks; also known as the test of Mann and Whitney.

    Args:
        group_N: a sample without NaN; a positive effect means that its values are larger.
        baseline_N: the other sample.

    Source: Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945).
    """
    group_N, baseline_N = (np.asarray(each, dtype=np.float64) for each in (group_N, baseline_N))
    n_group, n_baseline = len(group_N), len(baseline_N)
    values_N = np.concatenate([group_N, baseline_N])
    if not n_group or not n_baseline or np.isnan(values_N).any():
        return RankTest(np.nan, np.nan)
    doubled_N = _doubled_ranks(values_N)
    total, found = int(doubled_N.sum()), int(doubled_N[:n_group].sum())
    n = len(values_N)
    wins = found / 2 - n_group * (n_group + 1) / 2
    effect = 2 * wins / (n_group * n_baseline) - 1
    if n > EXACT:
        variance = float(doubled_N.var()) * n_group * n_baseline / (n - 1)
        return RankTest(_normal_p((found - total * n_group / n) / np.sqrt(variance)) if variance else 1.0, effect)
    counts = np.zeros((n_group + 1, total + 1))
    counts[0, 0] = 1.0
    for rank in doubled_N:
        counts[1:, rank:] += counts[:-1, : total + 1 - rank].copy()
    assert counts[n_group].sum() == comb(n, n_group)
    return RankTest(_counted_p(counts[n_group], found), effect)


def _doubled_ranks(values_N: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return twice the ranks from 1, which are integers where ties share their mean rank."""
    _, inverse_N, counts = np.unique(values_N, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    doubled_N: npt.NDArray[np.int64] = (2 * ends - counts + 1)[inverse_N.reshape(-1)]
    return doubled_N


def _counted_p(counts: npt.NDArray[np.float64], found: int) -> float:
    """Return the two-sided p value of a statistic, given in how many ways each of its values comes about."""
    tail = min(counts[: found + 1].sum(), counts[found:].sum())
    return float(min(1.0, 2 * tail / counts.sum()))


def _normal_p(z: float) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(z)))
