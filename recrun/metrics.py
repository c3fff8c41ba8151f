"""Metrics: pure functions of hits, exposures, or predictions, in double precision.

Shapes: B users, K places of a ranking, I items, N predictions, G groups.

A metric is registered with its kind, which says what it is a function of:

ranking    `(hits (B, K) bool in rank order, n_relevant (B,) int, k) -> (B,)`, for any k, also beyond K: places that do
           not exist are misses. K and every n_relevant are at least 1; users without relevant items are left out.
exposure   `(exposure (I,) int, popularity (I,) int, n_users) -> float`: how often each item stands in the first k
           places, and how many interactions it had before. For metrics beyond accuracy.
auc        `(wins (B,), n_relevant (B,), n_others (B,)) -> (B,)`, NaN where one of the two is 0.
pointwise  `(preds (N,), targets (N,)) -> float`; with the trait `grouped` also `groups (N,)`.

Further traits: `cutoff` (it is asked for as name@k), `smaller_is_better`, `root_of_mean` (the value is the square root
of a mean, so means of parts must be taken before the root). To add a metric, write one function here.

The functions on dense predictions and targets (`recall(preds, targets, k=20)` ...) live in `recrun.dense` and are
exported here too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recrun.dense import (
    auroc,
    dense_metrics,
    f1_score,
    hit_rate,
    log_loss,
    mean_abs_error,
    mean_average_precision,
    mean_reciprocal_rank,
    mean_squared_error,
    normalized_dcg,
    pointwise_metrics,
    precision,
    recall,
    root_mse,
)
from recrun.registry import METRICS

__all__ = [
    "auroc",
    "dense_metrics",
    "f1_score",
    "hit_rate",
    "log_loss",
    "mean_abs_error",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "mean_squared_error",
    "normalized_dcg",
    "pointwise_metrics",
    "precision",
    "recall",
    "root_mse",
]

Array = NDArray[Any]
Doubles = NDArray[np.float64]

# --- accuracy of rankings --------------------------------------------------------------------------------------------


@METRICS.register("recall", kind="ranking", cutoff=True)
def recall_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the share of a user's relevant items that is among the first k: hits / n_relevant.

    >>> recall_at(np.array([[True, False, True]]), np.array([4]), 3)
    array([0.5])
    """
    return np.asarray(_n_hits(hits_BK, k) / n_relevant_B)


@METRICS.register("precision", kind="ranking", cutoff=True)
def precision_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the share of the k places that hold a relevant item: hits / k, also where there are fewer items than k."""
    return np.asarray(_n_hits(hits_BK, k) / k)


@METRICS.register("hitrate", kind="ranking", cutoff=True)
def hitrate_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return 1 for a user with a relevant item among the first k, else 0."""
    return np.asarray(hits_BK[:, :k].any(axis=1), dtype=np.float64)


@METRICS.register("f1", kind="ranking", cutoff=True)
def f1_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the harmonic mean of a user's precision@k and recall@k: 2 hits / (k + n_relevant), 0 without hits."""
    return np.asarray(2.0 * _n_hits(hits_BK, k) / (k + n_relevant_B))


@METRICS.register("ndcg", kind="ranking", cutoff=True)
def ndcg_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the discounted gain of the hits over that of a perfect ranking.

    A hit at rank r gains 1 / log2(r + 1); the ideal has hits at ranks 1 .. min(n_relevant, k).

    *Source:* Järvelin and Kekäläinen, ACM TOIS 20(4), 2002, with binary gain and the logarithm of rank + 1.

    >>> ndcg_at(np.array([[False, True]]), np.array([1]), 2).round(4)
    array([0.6309])
    """
    discount_K = 1.0 / np.log2(np.arange(2, k + 2))
    hits_BK = hits_BK[:, :k]
    # Summed along the ranks in order, as the ideal is, so that a perfect ranking gives exactly 1.
    gain_BK = np.cumsum(hits_BK * discount_K[: hits_BK.shape[1]], axis=1)
    return np.asarray(gain_BK[:, -1] / np.cumsum(discount_K)[np.minimum(n_relevant_B, k) - 1])


@METRICS.register("mrr", kind="ranking", cutoff=True)
def mrr_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return 1 / rank of the first hit, 0 when there is none within k.

    *Source:* Voorhees, TREC-8, 1999.
    """
    hits_BK = hits_BK[:, :k]
    first_B = hits_BK.argmax(axis=1)
    return np.where(hits_BK.any(axis=1), 1.0 / (first_B + 1), 0.0)


@METRICS.register("map", kind="ranking", cutoff=True)
def map_at(hits_BK: Array, n_relevant_B: Array, k: int) -> Doubles:
    """Return the average precision: the sum over hits of the precision at their ranks, over min(n_relevant, k).

    *Source:* Buckley and Voorhees, SIGIR 2000, cut at k with the attainable number of hits as the divisor.

    >>> map_at(np.array([[True, False, True]]), np.array([2]), 3).round(4)
    array([0.8333])
    """
    hits_BK = hits_BK[:, :k]
    precision_BK = np.cumsum(hits_BK, axis=1) / np.arange(1, hits_BK.shape[1] + 1)
    return np.asarray((precision_BK * hits_BK).sum(axis=1) / np.minimum(n_relevant_B, k))


@METRICS.register("auc", kind="auc", cutoff=False)
def area_under_curve(wins_B: Array, n_relevant_B: Array, n_others_B: Array) -> Doubles:
    """Return the share of pairs (relevant, other item) that a user's scores put in order, ties counting half.

    Over all unseen items; NaN for a user without relevant or without other items, who is left out of the mean.

    *Source:* Rendle et al., UAI 2009, section 3.2 (there without ties).

    Args:
        wins_B: pairs in order plus half the ties.
        n_relevant_B: unseen relevant items of each user.
        n_others_B: unseen items that are not relevant.
    """
    pairs_B = np.multiply(n_relevant_B, n_others_B, dtype=np.float64)
    return np.asarray(np.divide(wins_B, pairs_B, out=np.full(len(pairs_B), np.nan), where=pairs_B > 0))


# --- beyond accuracy -------------------------------------------------------------------------------------------------


@METRICS.register("coverage", kind="exposure", cutoff=True)
def coverage(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the share of all items that stand in at least one user's first k places."""
    return float(np.count_nonzero(exposure_I) / len(exposure_I))


@METRICS.register("gini", kind="exposure", cutoff=True, smaller_is_better=True)
def gini(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return how unevenly the places are shared among all items: 0 when evenly, 1 - 1/I when one item has them all.

    With exposures x sorted ascending, sum over i of (2i - I - 1) x_i / (I sum of x), i from 1; NaN without exposures.

    *Source:* Gini index of concentration, as applied to recommendations by Fleder and Hosanagar, Management Science
    55(5), 2009.
    """
    n_items, total = len(exposure_I), int(exposure_I.sum())
    if total == 0:
        return float("nan")
    rank_I = np.arange(1, n_items + 1)
    return float(((2 * rank_I - n_items - 1) * np.sort(exposure_I).astype(np.float64)).sum() / (n_items * total))


@METRICS.register("novelty", kind="exposure", cutoff=True)
def novelty(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the mean self-information in bits of what is recommended: -log2(share of users who met the item before).

    Over all filled places of all users; an item that nobody met counts as if one user had. NaN without exposures.

    *Source:* Zhou et al., PNAS 107(10), 2010.
    """
    surprise_I = -np.log2(np.maximum(popularity_I, 1) / max(n_users, 1))
    return _mean_over_places(exposure_I, surprise_I)


@METRICS.register("popularity", kind="exposure", cutoff=True, smaller_is_better=True)
def popularity(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the mean number of earlier interactions of what is recommended, over all filled places; NaN without any.

    *Source:* Yin et al., PVLDB 5(9), 2012 (average recommendation popularity).
    """
    return _mean_over_places(exposure_I, popularity_I)


# --- predictions one by one ------------------------------------------------------------------------------------------


@METRICS.register("mae", kind="pointwise", cutoff=False, smaller_is_better=True)
def absolute_error(preds_N: Array, targets_N: Array) -> float:
    """Return the mean absolute error; NaN without predictions."""
    return _mean(np.abs(_double(preds_N) - _double(targets_N)))


@METRICS.register("mse", kind="pointwise", cutoff=False, smaller_is_better=True)
def squared_error(preds_N: Array, targets_N: Array) -> float:
    """Return the mean squared error; NaN without predictions."""
    return _mean((_double(preds_N) - _double(targets_N)) ** 2)


@METRICS.register("rmse", kind="pointwise", cutoff=False, smaller_is_better=True, root_of_mean=True)
def root_squared_error(preds_N: Array, targets_N: Array) -> float:
    """Return the square root of the mean squared error; NaN without predictions."""
    return float(np.sqrt(squared_error(preds_N, targets_N)))


@METRICS.register("logloss", kind="pointwise", cutoff=False, smaller_is_better=True)
def binary_log_loss(preds_N: Array, targets_N: Array) -> float:
    """Return the mean of -(y ln p + (1 - y) ln(1 - p)) for probabilities p and targets y in [0, 1].

    Probabilities are kept a machine epsilon (of their own type) away from 0 and 1, so the value is finite.

    Raises:
        ValueError: a prediction lies outside [0, 1].
    """
    preds_N = np.asarray(preds_N)
    epsilon = np.finfo(preds_N.dtype if preds_N.dtype.kind == "f" else np.float64).eps
    if len(preds_N) and not (preds_N.min() >= 0 and preds_N.max() <= 1):
        raise ValueError("logloss takes probabilities: every prediction must lie in [0, 1]; apply a sigmoid to logits")
    p_N, y_N = np.clip(_double(preds_N), epsilon, 1.0 - epsilon), _double(targets_N)
    return _mean(-(y_N * np.log(p_N) + (1.0 - y_N) * np.log1p(-p_N)))


@METRICS.register("gauc", kind="pointwise", cutoff=False, grouped=True)
def grouped_auc(preds_N: Array, targets_N: Array, groups_N: Array) -> float:
    """Return the mean of the groups' AUCs, ties counting half, weighted by how many predictions a group has.

    A group is usually a user. Groups with one kind of target only are left out; NaN when all are.

    *Source:* Zhou et al., Deep Interest Network, KDD 2018, section 6.

    Args:
        preds_N: scores on any scale.
        targets_N: relevant where > 0.
        groups_N: the group of each prediction, any values that sort.
    """
    _, group_N = np.unique(np.asarray(groups_N), return_inverse=True)
    preds_N, relevant_N = np.asarray(preds_N), np.asarray(targets_N) > 0
    order_N = np.lexsort((preds_N, group_N))
    group_N, preds_N, relevant_N = group_N[order_N], preds_N[order_N], relevant_N[order_N]
    size_G = np.bincount(group_N)
    n_relevant_G = np.bincount(group_N, weights=relevant_N)
    # Equal predictions of a group share the mean of their ranks; the sum of the relevant ones' ranks gives the wins.
    new_N = np.r_[True, (group_N[1:] != group_N[:-1]) | (preds_N[1:] != preds_N[:-1])][: len(preds_N)]
    run_N = np.cumsum(new_N) - 1
    length_R = np.bincount(run_N)
    rank_R = np.cumsum(length_R) - (length_R - 1) / 2
    rank_N = rank_R[run_N] - (np.cumsum(size_G) - size_G)[group_N]
    wins_G = np.bincount(group_N, weights=rank_N * relevant_N) - n_relevant_G * (n_relevant_G + 1) / 2
    auc_G = area_under_curve(wins_G, n_relevant_G, size_G - n_relevant_G)
    defined_G = ~np.isnan(auc_G)
    return float(np.average(auc_G[defined_G], weights=size_G[defined_G])) if defined_G.any() else float("nan")


def _n_hits(hits_BK: Array, k: int) -> Array:
    return np.asarray(hits_BK[:, :k].sum(axis=1))


def _mean_over_places(exposure_I: Array, values_I: Array) -> float:
    total = int(exposure_I.sum())
    return float((exposure_I * _double(values_I)).sum() / total) if total else float("nan")


def _double(values: ArrayLike) -> Doubles:
    return np.asarray(values, dtype=np.float64)


def _mean(values: Doubles) -> float:
    return float(values.mean()) if values.size else float("nan")
