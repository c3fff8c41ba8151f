"""Find out before a ranking whether anyone has two items for the area under the curve to compare.

Shapes: B users of a batch, N pairs of a user and an item.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from recrun.metrics.per_user import SUMMED


def any_pair(relevant: Any, masked: Any, n_items: int) -> bool:
    """Return whether a user has both a relevant item and another one that are ranked.

    Args:
        relevant: items to be found, as compressed rows (`recrun.data.interactions.CSR`).
        masked: items that are not ranked, likewise.
        n_items: I.
    """
    users = np.flatnonzero(relevant.lengths)
    for start in range(0, len(users), SUMMED):  # the first of these blocks nearly always has one
        users_B = users[start : start + SUMMED]
        keys = []
        for rows in (relevant, masked):
            indptr, items_N = rows.rows(users_B)
            keys.append(np.repeat(np.arange(len(users_B)), np.diff(indptr)) * n_items + items_N)
        findable_N = np.setdiff1d(keys[0], keys[1]) // n_items
        n_findable_B = np.bincount(findable_N, minlength=len(users_B))
        n_masked_B = np.bincount(np.unique(keys[1]) // n_items, minlength=len(users_B))
        if ((n_findable_B > 0) & (n_findable_B + n_masked_B < n_items)).any():
            return True
    return False
