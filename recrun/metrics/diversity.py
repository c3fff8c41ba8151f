"""Compute how different the items of a list are, and how many of its hits an obvious list would have missed.

Shapes: B users, K ranks, J distinct items of all lists, R of them at a time, N ranks at a time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recrun.metrics.ranking import Array, Doubles, ratio
from recrun.metrics.recommended import Known, Recommended
from recrun.registry import METRICS

_SIMILARITIES: Final = 1 << 22
"""Similarities that are kept at a time."""
_WORTH_SPLITTING: Final = 0.9
"""Lists are compared in two parts if both together need at most so much of the similarities that they need as one."""


@METRICS.register("diversity", kind="recommended", min_cutoff=2)
def diversity(lists: Recommended, known: Known) -> Doubles:
    """Return the mean distance between two items of a list: 1 - cosine of the sets of users who have seen them.

    The cosine of items i and j is |U_i and U_j| / sqrt(|U_i| |U_j|), 0 for an item that nobody has seen. Over all pairs
    of filled ranks; a list of fewer than two items is left out.

    *Source:* Smyth and McClure, ICCBR 2001 (diversity of a set); Ziegler et al., WWW 2005 (intra-list similarity).
    """
    n_filled_B = lists.is_filled_BK.sum(axis=1)
    similarity_B = _similarity_sums(lists.items_BK, known).sum(axis=1)
    return np.asarray(1.0 - ratio(similarity_B, n_filled_B * (n_filled_B - 1)))


@METRICS.register("serendipity", kind="recommended")
def serendipity(lists: Recommended, known: Known) -> Doubles:
    """Return the share of the first k ranks that hold an unexpected hit: one that is not among the obvious k items.

    The obvious items of a user are the k most popular ones that can be recommended, which leaves out those seen unless
    they are ranked too; of equally popular ones those with the smaller ids. Over k even where there are fewer items.

    *Source:* Ge et al., RecSys 2010, and Murakami et al., JSAI 2007 workshops (LNCS 4914, 2008), with popularity as the
    primitive recommender.
    """
    rows_N, places_N = np.nonzero(lists.hits_BK)
    rank_N = known.rank_I[lists.items_BK[rows_N, places_N]]
    indptr, seen_N = known.masked.rows(lists.users_B)
    keys = np.repeat(np.arange(len(lists.users_B)), np.diff(indptr)) * known.n_items + known.rank_I[seen_N]
    keys.sort()
    # Among the unseen ones an item moves up by the user's seen items that are more popular.
    n_seen_before_N = np.searchsorted(keys, rows_N * known.n_items + rank_N) - indptr[rows_N]
    is_unexpected_N = rank_N - n_seen_before_N >= lists.k
    return np.asarray(np.bincount(rows_N[is_unexpected_N], minlength=len(lists.users_B)) / lists.k)


def _similarity_sums(items_BK: Array, known: Known) -> Doubles:
    """Return the sum of the similarities of each item of a list with the others, (B, K); 0 at empty ranks.

    Only items that are in a list are compared, some of them with all others at a time, so memory is bounded. Each sum
    runs along the ranks of one list, so it does not depend on which other lists there are.
    """
    sums_BK = np.zeros(items_BK.shape)
    _fill_sums(sums_BK, items_BK, known)
    return sums_BK


def _fill_sums(sums_BK: Doubles, items_BK: Array, known: Known) -> None:
    """Write the sums; lists that share few items are compared apart, since their items need no common matrix."""
    is_filled_BK = items_BK >= 0
    items_J, places = np.unique(items_BK[is_filled_BK], return_inverse=True)
    if not len(items_J):
        return
    half = len(items_BK) // 2
    if half and len(items_J) ** 2 > _SIMILARITIES:
        n_items = [len(np.unique(part[part >= 0])) for part in (items_BK[:half], items_BK[half:])]
        if n_items[0] ** 2 + n_items[1] ** 2 < _WORTH_SPLITTING * len(items_J) ** 2:
            _fill_sums(sums_BK[:half], items_BK[:half], known)
            _fill_sums(sums_BK[half:], items_BK[half:], known)
            return
    # Empty ranks point at the last item, with a scale of 0.
    columns_BK = np.full(items_BK.shape, len(items_J) - 1)
    columns_BK[is_filled_BK] = places
    seen_JU = known.seen_IU[items_J]
    seen_UJ = seen_JU.T.tocsr()
    scale_BK = np.where(is_filled_BK, 1.0 / np.sqrt(np.maximum(known.popularity_I[items_BK], 1)), 0.0)
    n_rows = max(1, _SIMILARITIES // len(items_J))
    for start in range(0, len(items_J), n_rows):
        shared_RJ = (seen_JU[start : start + n_rows] @ seen_UJ).toarray()
        own = np.arange(len(shared_RJ))
        shared_RJ[own, start + own] = 0.0
        _add_sums(sums_BK, columns_BK, scale_BK, shared_RJ, start)


def _add_sums(sums_BK: Doubles, columns_BK: Array, scale_BK: Doubles, shared_RJ: Array, start: int) -> None:
    """Write the sums at the ranks that hold one of the items from `start` on.

    Args:
        sums_BK: is written to.
        columns_BK: the item of each rank, by its place in J.
        scale_BK: 1 / sqrt(users of the item), 0 where a rank is empty.
        shared_RJ: how many users two items share, 0 for an item and itself.
        start: the place in J of the first row.
    """
    rows, places = np.nonzero((columns_BK >= start) & (columns_BK < start + len(shared_RJ)) & (scale_BK > 0))
    n_ranks = max(1, _SIMILARITIES // columns_BK.shape[1])
    for first in range(0, len(rows), n_ranks):
        rows_N, places_N = rows[first : first + n_ranks], places[first : first + n_ranks]
        own_N = columns_BK[rows_N, places_N] - start
        shared_NK = shared_RJ[own_N[:, None], columns_BK[rows_N]]
        sums_BK[rows_N, places_N] = (shared_NK * scale_BK[rows_N]).sum(axis=1) * scale_BK[rows_N, places_N]
