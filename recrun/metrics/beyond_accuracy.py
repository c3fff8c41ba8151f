"""Compute metrics beyond accuracy from how often each item is recommended.

Shapes: I items.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recrun.metrics.ranking import Array, as_double
from recrun.metrics.undefined import Undefined
from recrun.registry import METRICS

NOTHING_SHOWN: Final = "no item is recommended to anyone"


@METRICS.register("coverage", kind="exposure")
def coverage(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the share of all items that are among the first k of at least one user."""
    return float(np.count_nonzero(exposure_I) / len(exposure_I))


@METRICS.register("gini", kind="exposure", smaller_is_better=True)
def gini(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return how unevenly recommendations are spread over all items: 0 if evenly, 1 - 1/I if one item gets all.

    With exposures x sorted ascending, sum over i of (2i - I - 1) x_i / (I sum of x), i from 1; undefined without
    exposures.

    *Source:* Gini index of concentration, as applied to recommendations by Fleder and Hosanagar, Management Science
    55(5), 2009.
    """
    n_items, total = len(exposure_I), int(exposure_I.sum())
    if total == 0:
        return Undefined(NOTHING_SHOWN)
    rank_I = np.arange(1, n_items + 1)
    return float(((2 * rank_I - n_items - 1) * np.sort(exposure_I).astype(np.float64)).sum() / (n_items * total))


@METRICS.register("novelty", kind="exposure")
def novelty(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the mean self-information, in bits, of recommended items: -log2(share of users who have seen the item).

    Over all filled ranks of all users; an item that no user has seen counts as if one had. Undefined without
    exposures.

    *Source:* Zhou et al., PNAS 107(10), 2010.
    """
    surprise_I = -np.log2(np.maximum(popularity_I, 1) / max(n_users, 1))
    return _mean_over_ranks(exposure_I, surprise_I)


@METRICS.register("popularity", kind="exposure", smaller_is_better=True)
def popularity(exposure_I: Array, popularity_I: Array, n_users: int) -> float:
    """Return the mean number of earlier interactions of recommended items, over all filled ranks; undefined without
    any.

    *Source:* Yin et al., PVLDB 5(9), 2012 (average recommendation popularity).
    """
    return _mean_over_ranks(exposure_I, popularity_I)


def _mean_over_ranks(exposure_I: Array, values_I: Array) -> float:
    total = int(exposure_I.sum())
    return float((exposure_I * as_double(values_I)).sum() / total) if total else Undefined(NOTHING_SHOWN)
