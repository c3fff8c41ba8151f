"""Draw signs, labels, users and seeds again many times, as matrix products in blocks of bounded memory.

Shapes: N values (of users, or of seeds), S seeds, U users, M metrics, R resamples, B resamples of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Final

import numpy as np

from recrun.compare.difference import Difference
from recrun.metrics.ranking import Doubles, ratio
from recrun.randomness import generator

SEED: Final = 0
"""All draws are the same each time, so that a comparison can be repeated to the last digit."""
BLOCK_BYTES: Final = 1 << 26
_CLOSE: Final = 1e-12
"""Sums of the same values in another order differ by less, relative to the sum of their sizes."""


def sign_flips(values_NM: Doubles, n_resamples: int) -> Doubles:
    """Return the p value of each metric's mean, if the sign of each value is a toss of a coin.

    All patterns of signs are counted if there are no more than `n_resamples`, otherwise that many are drawn, and the
    observed one is counted with them.

    Args:
        values_NM: differences; NaN is left out.
        n_resamples: the most patterns that are looked at.

    Returns:
        (M,); NaN for a metric without values.
    """
    known_NM = np.where(np.isnan(values_NM), 0.0, values_NM)
    sums_M = known_NM.sum(axis=0)
    least_M = np.abs(sums_M) - _CLOSE * np.abs(known_NM).sum(axis=0)
    n_values, hits_M = len(known_NM), np.zeros(len(sums_M))
    is_exact = n_values < 63 and 2**n_values <= n_resamples
    patterns = _all_bits(n_values) if is_exact else _random_bits(n_values, n_resamples)
    n_patterns = 0
    for bits_BN in patterns:
        hits_M += (np.abs(2 * (bits_BN @ known_NM) - sums_M) >= least_M).sum(axis=0)
        n_patterns += len(bits_BN)
    p_M = hits_M / n_patterns if is_exact else (hits_M + 1) / (n_patterns + 1)
    return np.where(np.isnan(values_NM).all(axis=0), np.nan, p_M)


def label_exchange(group_NM: Doubles, baseline_NM: Doubles, n_resamples: int) -> Doubles:
    """Return the p value of each difference of means, if it is chance which values are the group's.

    It is twice the smaller of the two one-sided ones. All ways to choose the group's values are counted if there are no
    more than `n_resamples`, otherwise as in `sign_flips`.
    """
    values_NM = np.concatenate([group_NM, baseline_NM])
    n_group, n_values = len(group_NM), len(values_NM)
    weights_N = np.where(np.arange(n_values) < n_group, 1.0, 0.0)
    sums_M = weights_N @ values_NM
    close_M = _CLOSE * np.abs(values_NM).sum(axis=0)
    n_ways = comb(n_values, n_group)
    if n_ways <= n_resamples:
        chosen_RN = np.zeros((n_ways, n_values))
        for row_N, places in zip(chosen_RN, combinations(range(n_values), n_group), strict=True):
            row_N[list(places)] = 1.0
        more = 0
    else:
        random = generator(SEED, 0, "compare labels")
        chosen_RN = random.permuted(np.tile(weights_N, (n_resamples, 1)), axis=1)
        more = 1
    drawn_RM = chosen_RN @ values_NM
    tails = [(drawn_RM >= sums_M - close_M).sum(axis=0), (drawn_RM <= sums_M + close_M).sum(axis=0)]
    p_M = np.minimum(1.0, 2 * (np.minimum(*tails) + more) / (len(chosen_RN) + more))
    return np.where(np.isnan(values_NM).any(axis=0), np.nan, p_M)


def means_of_resampled(values_NM: Doubles, n_resamples: int, purpose: str) -> Doubles:
    """Return the means (R, M) of values drawn with replacement.

    Args:
        values_NM: the values; NaN is left out of a mean.
        n_resamples: R.
        purpose: what is drawn, such as "users"; draws for other purposes are independent.
    """
    values = _Columns(values_NM)
    return np.concatenate([values.means(counts_BN) for counts_BN in _counts(len(values_NM), n_resamples, purpose)])


def pigeonhole(difference: Difference, n_resamples: int) -> Doubles:
    """Return mean differences (R, M) over users and seeds drawn with replacement, independently of each other.

    Unpaired groups draw their seeds independently. The spread of these means is larger than that of the mean
    difference, never smaller in expectation: intervals are conservative.

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007).
    """
    n_users, n_metrics = difference.users_UM.shape
    n_seeds = [len(arm_SUM) for arm_SUM in difference.arms]
    values = _Columns(np.concatenate([_by_users(arm_SUM) for arm_SUM in difference.arms], axis=1))
    signs = (1.0, -1.0)[: len(n_seeds)]
    weights_RS = np.concatenate(
        [
            sign / n * np.concatenate(list(_counts(n, n_resamples, f"seeds of arm {place}")))
            for place, (n, sign) in enumerate(zip(n_seeds, signs, strict=True))
        ],
        axis=1,
    )
    found_RM = np.empty((n_resamples, n_metrics))
    done = 0
    for counts_BU in _counts(n_users, n_resamples, "users"):
        block = slice(done, done + len(counts_BU))
        means_BSM = values.means(counts_BU).reshape(len(counts_BU), -1, n_metrics)
        np.einsum("bs,bsm->bm", weights_RS[block], means_BSM, out=found_RM[block])
        done = block.stop
    return found_RM


def _by_users(arm_SUM: Doubles) -> Doubles:
    """Return the values as a row for each user."""
    by_users: Doubles = arm_SUM.transpose(1, 0, 2).reshape(arm_SUM.shape[1], -1)
    return by_users


class _Columns:
    """Columns of values whose weighted means are asked for many times.

    Args:
        values_NM: the values; NaN is left out of a mean.
    """

    def __init__(self, values_NM: Doubles) -> None:
        is_known_NM = ~np.isnan(values_NM)
        self._known_NM = np.where(is_known_NM, values_NM, 0.0)
        self._with_gaps = np.flatnonzero(~is_known_NM.all(axis=0))
        self._is_known_NG = is_known_NM[:, self._with_gaps].astype(np.float64)

    def means(self, weights_BN: Doubles) -> Doubles:
        """Return the weighted means (B, M); NaN over no values."""
        n_BM = np.full((len(weights_BN), self._known_NM.shape[1]), float(len(self._known_NM)))
        n_BM[:, self._with_gaps] = weights_BN @ self._is_known_NG
        return ratio(weights_BN @ self._known_NM, n_BM)


def _all_bits(n: int) -> Iterator[Doubles]:
    numbers = np.arange(2**n, dtype=np.int64)
    yield ((numbers[:, None] >> np.arange(n)) & 1).astype(np.float64)


def _random_bits(n: int, count: int) -> Iterator[Doubles]:
    """Yield blocks of `count` rows of n random bits in all."""
    random = generator(SEED, 0, "compare signs")
    for size in _block_sizes(n, count):
        bytes_ = random.integers(0, 256, size=(size, -(-n // 8)), dtype=np.uint8)
        yield np.unpackbits(bytes_, axis=1, count=n).astype(np.float64)


def _counts(n: int, count: int, purpose: str) -> Iterator[Doubles]:
    """Yield blocks of `count` rows in all, each of how often each of n values is drawn in n draws."""
    random = generator(SEED, 0, f"compare {purpose}")
    for size in _block_sizes(n, count):
        counts_BN = np.empty((size, n))
        for counts_N in counts_BN:  # row by row, whose counters stay in the cache
            counts_N[:] = np.bincount(random.integers(0, n, size=n), minlength=n)
        yield counts_BN


def _block_sizes(n: int, count: int) -> Iterator[int]:
    most = max(1, BLOCK_BYTES // (8 * max(n, 1)))
    for start in range(0, count, most):
        yield min(most, count - start)
