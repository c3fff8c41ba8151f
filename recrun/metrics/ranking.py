"""Compute metrics of ranked lists from hits at ranks and numbers of relevant items.

Shapes: B users, K ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recrun.registry import METRICS

Array = NDArray[Any]
Doubles = NDArray[np.float64]


@METRICS.register("recall", kind="ranking")
def recall_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the share of a user's relevant items that is among the first k: hits / n_relevant.

    >>> recall_at(np.array([[True, False, True]]), np.array([4]), 3)
    array([0.5])
    """
    return np.asarray(_n_hits(hits_BK, k) / n_relevant_B)


@METRICS.register("capped_recall", kind="ranking")
def capped_recall_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the hits among the first k over the most that can be there: hits / min(k, n_relevant).

    *Source:* Liang et al., WWW 2018, section 4.2, who call it Recall@R.

    >>> capped_recall_at(np.array([[True, False, True]]), np.array([4]), 3).round(4)
    array([0.6667])
    """
    return np.asarray(_n_hits(hits_BK, k) / np.minimum(k, n_relevant_B))


@METRICS.register("precision", kind="ranking")
def precision_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the share of the first k ranks that hold a relevant item: hits / k, even where there are fewer items."""
    return np.asarray(_n_hits(hits_BK, k) / k)


@METRICS.register("hitrate", kind="ranking")
def hitrate_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return 1 for a user with a relevant item among the first k, else 0."""
    return np.asarray(hits_BK[:, :k].any(axis=1), dtype=np.float64)


@METRICS.register("f1", kind="ranking")
def f1_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the harmonic mean of a user's precision@k and recall@k: 2 hits / (k + n_relevant), 0 without hits."""
    return np.asarray(2.0 * _n_hits(hits_BK, k) / (k + n_relevant_B))


@METRICS.register("ndcg", kind="ranking")
def ndcg_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the discounted gain of the hits over that of a perfect ranking.

    A hit at rank r gains 1 / log2(r + 1); the ideal has hits at ranks 1 .. min(n_relevant, k).

    *Source:* Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, with binary gain and the logarithm of rank + 1.

    >>> ndcg_at(np.array([[False, True]]), np.array([1]), 2).round(4)
    array([0.6309])
    """
    hits_BK = hits_BK[:, :k]
    # As long as any row needs it, and not k, which may be a billion.
    length = min(k, max(hits_BK.shape[1], int(n_relevant_B.max(initial=1))))
    discount_K = 1.0 / np.log2(np.arange(2, length + 2))
    # Summed along the ranks in order, as the ideal is, so that a perfect ranking gives exactly 1.
    gain_BK = np.cumsum(hits_BK * discount_K[: hits_BK.shape[1]], axis=1)
    return np.asarray(gain_BK[:, -1] / np.cumsum(discount_K)[np.minimum(n_relevant_B, k) - 1])


@METRICS.register("mrr", kind="ranking")
def mrr_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return 1 / rank of the first hit, 0 when there is none within k.

    *Source:* Voorhees, TREC-8, 1999.
    """
    hits_BK = hits_BK[:, :k]
    first_B = hits_BK.argmax(axis=1)
    return np.where(hits_BK.any(axis=1), 1.0 / (first_B + 1), 0.0)


@METRICS.register("map", kind="ranking")
def map_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the average precision: the sum over hits of the precision at their ranks, over min(n_relevant, k).

    *Source:* Buckley and Voorhees, SIGIR 2000, cut at k with the attainable number of hits as the divisor.

    >>> map_at(np.array([[True, False, True]]), np.array([2]), 3).round(4)
    array([0.8333])
    """
    hits_BK = hits_BK[:, :k]
    precision_BK = np.cumsum(hits_BK, axis=1) / np.arange(1, hits_BK.shape[1] + 1)
    return np.asarray((precision_BK * hits_BK).sum(axis=1) / np.minimum(n_relevant_B, k))


@METRICS.register("auc", kind="auc", foreseeable=True)
def area_under_curve(wins_B: Array, n_relevant_B: Array, n_others_B: Array) -> Doubles:
    """Return the share of pairs (relevant, other item) that a user's scores put in the right order, ties counting half.

    Over all unseen items; NaN for a user without relevant or without other items, who is left out of the mean.

    *Source:* Rendle et al., UAI 2009, section 3.2 (there without ties).

    Args:
        wins_B: pairs in the right order, plus half the ties.
        n_relevant_B: unseen relevant items of each user.
        n_others_B: unseen items that are not relevant.
    """
    pairs_B = np.multiply(n_relevant_B, n_others_B, dtype=np.float64)
    return np.asarray(np.divide(wins_B, pairs_B, out=np.full(len(pairs_B), np.nan), where=pairs_B > 0))


def _n_hits(hits_BK: Array, k: int) -> Array:
    return np.asarray(hits_BK[:, :k].sum(axis=1))


def as_double(values: ArrayLike) -> Doubles:
    return np.asarray(values, dtype=np.float64)


def ratio(numerators: ArrayLike, denominators: ArrayLike) -> Doubles:
    """Return quotients, NaN where the denominator is not above 0."""
    above, below = np.broadcast_arrays(np.asarray(numerators, dtype=np.float64), denominators)
    quotients = np.full(above.shape, np.nan)
    np.divide(above, below, out=quotients, where=below > 0)
    return quotients
