"""Compute how far lists lean towards popular items, and accuracy that makes up for popular items being tested more.

Shapes: B users, I items, K ranks, C categories of popularity, N relevant items.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recrun.metrics.ranking import Array, Doubles, as_double, ratio
from recrun.metrics.recommended import N_CATEGORIES, Known, Recommended
from recrun.registry import METRICS

SMOOTHING: Final = 0.01
"""The share of the user's own distribution that is mixed into that of the list, so that no category has share 0."""
GAMMA: Final = 1.5
"""The exponent of the power law by which popularity is assumed to grow with the chance to be observed."""


@METRICS.register("aplt", kind="recommended")
def long_tail_share(lists: Recommended, known: Known) -> Doubles:
    """Return the share of a list's items that are in the long tail; an empty list is left out.

    The long tail is all items but the fewest, the most popular first, that hold at least 80 % of the seen interactions.

    *Source:* Abdollahpouri, Burke and Mobasher, FLAIRS 2019 (average percentage of long-tail items).
    """
    return lists.mean(known.is_long_tail_I)


@METRICS.register("poplift", kind="recommended", smaller_is_better=True)
def popularity_lift(lists: Recommended, known: Known) -> Doubles:
    """Return by which share the items of a list are more popular, on average, than those that the user has seen.

    (q - p) / p with the mean popularity q of the list and p of the seen items: 0 if equal, negative if the list is less
    popular. Users who have seen nothing, and empty lists, are left out.

    *Source:* Abdollahpouri et al., RecSys 2020 (popularity lift), there with p and q averaged over a group of users
    before they are divided.
    """
    profile_B = known.profile_popularity_U[lists.users_B]
    return np.asarray(ratio(lists.mean(known.popularity_I) - profile_B, profile_B))


@METRICS.register("miscalibration", kind="recommended", smaller_is_better=True)
def miscalibration(lists: Recommended, known: Known) -> Doubles:
    """Return how far the popularity of a list's items is from that of the user's seen ones, in nats.

    The Kullback-Leibler divergence: the sum over categories c of p(c) ln(p(c) / q(c)), with the share p of the seen
    items and q = 0.99 (share of the list) + 0.01 p. Categories are the head (the fewest items, the most popular first,
    that hold 20 % of the seen interactions), the long tail (all but the fewest that hold 80 %) and the middle. Users
    who have seen nothing, and empty lists, are left out.

    *Source:* Steck, RecSys 2018 (calibration, smoothed by 0.01); the categories are those of Abdollahpouri et al., UMAP
    2021.
    """
    p_BC = _shares(known.categories_UC[lists.users_B])
    category_BK = np.where(lists.is_filled_BK, known.category_I[lists.items_BK], -1)
    q_BC = _shares(np.stack([(category_BK == c).sum(axis=1) for c in range(N_CATEGORIES)], axis=1))
    mixed_BC = (1.0 - SMOOTHING) * q_BC + SMOOTHING * p_BC
    with np.errstate(divide="ignore", invalid="ignore"):
        terms_BC = np.where(p_BC > 0, p_BC * np.log(p_BC / mixed_BC), 0.0)
    is_defined_B = ~np.isnan(p_BC + q_BC).any(axis=1)
    # Equal distributions may come out as a hair less than 0.
    return np.where(is_defined_B, np.maximum(terms_BC.sum(axis=1), 0.0), np.nan)


@METRICS.register("ips_recall", kind="recommended")
def unbiased_recall(lists: Recommended, known: Known) -> Doubles:
    """Return recall with each relevant item weighted by the inverse of its chance to be observed.

    The sum of the weights of the hits over that of all relevant items: self-normalised inverse propensity scoring. The
    weight of an item with popularity p is p^(-(gamma + 1) / 2), gamma 1.5; one that nobody has seen counts as if one
    user had. Equal weights, and a single relevant item, give recall@k.

    *Source:* Yang et al., RecSys 2018 (propensities from popularity); Schnabel et al., ICML 2016 (inverse propensity
    scoring).
    """
    weight_I = _weights(known)
    rows_N, items_N, _ = _relevant(lists, known)
    total_B = np.bincount(rows_N, weight_I[items_N], minlength=len(lists.users_B))
    found_B = np.where(lists.hits_BK, weight_I[lists.items_BK], 0.0).sum(axis=1)
    return np.asarray(np.minimum(found_B / total_B, 1.0))


@METRICS.register("ips_ndcg", kind="recommended")
def unbiased_ndcg(lists: Recommended, known: Known) -> Doubles:
    """Return NDCG with the gain of each relevant item weighted by the inverse of its chance to be observed.

    A hit at rank r gains weight / log2(r + 1), with the weights of `ips_recall`; the ideal has the relevant items at
    ranks 1 .. min(n_relevant, k), those with the largest weights first. Equal weights give ndcg@k.

    *Source:* Yang et al., RecSys 2018 (weights, discount); the ideal is that of Järvelin and Kekäläinen, 2002, in place
    of the sum of the weights, so that the best ranking has 1.
    """
    weight_I = _weights(known)
    ideal_B = _ideal_gain(lists, known, weight_I)
    discount_K = 1.0 / np.log2(np.arange(2, lists.items_BK.shape[1] + 2))
    gain_BK = np.where(lists.hits_BK, weight_I[lists.items_BK] * discount_K, 0.0)
    return np.minimum(np.cumsum(gain_BK, axis=1)[:, -1] / ideal_B, 1.0)


def _shares(counts_BC: Array) -> Doubles:
    return ratio(counts_BC, np.broadcast_to(counts_BC.sum(axis=1, keepdims=True), counts_BC.shape))


def _weights(known: Known) -> Doubles:
    return np.asarray(np.maximum(known.popularity_I, 1).astype(np.float64) ** (-(GAMMA + 1.0) / 2.0))


def _relevant(lists: Recommended, known: Known) -> tuple[Array, Array, Array]:
    """Return the relevant items of the users one after the other: the row and id of each, and the start of each row."""
    indptr, items_N = known.relevant.rows(lists.users_B)
    return np.repeat(np.arange(len(lists.users_B)), np.diff(indptr)), items_N, indptr


def _ideal_gain(lists: Recommended, known: Known, weight_I: Doubles) -> Doubles:
    rows_N, items_N, indptr = _relevant(lists, known)
    weight_N = weight_I[items_N]
    weight_N = weight_N[np.lexsort((-weight_N, rows_N))]
    rank_N = np.arange(len(rows_N)) - indptr[rows_N]
    gain_N = np.where(rank_N < lists.k, weight_N / np.log2(rank_N + 2), 0.0)
    return as_double(np.bincount(rows_N, gain_N, minlength=len(lists.users_B)))
