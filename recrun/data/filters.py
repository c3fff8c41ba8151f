"""Filter interactions: masks of the rows to keep without repeated pairs, and for k-cores."""

from __future__ import annotations

import numpy as np

from recrun.data.orders import stable_order


def pair_keys(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return one integer per pair, equal only for equal pairs and ordered by user, then item: int64 (N,)."""
    bits = int(items.max(initial=0)).bit_length()
    keys: np.ndarray = users.astype(np.int64)
    keys <<= bits
    keys |= items
    return keys


def has_repeats(users: np.ndarray, items: np.ndarray) -> bool:
    """Return whether any pair occurs more than once."""
    keys = pair_keys(users, items)
    keys.sort()
    return bool((keys[1:] == keys[:-1]).any())


def without_repeats(users: np.ndarray, items: np.ndarray, keep: str) -> np.ndarray:
    """Return the mask that keeps the first or the last row of each pair, or all rows.

    Args:
        users: int (N,).
        items: int (N,).
        keep: "first" or "last", in the order of the rows, or "all".

    Returns:
        bool (N,).
    """
    mask = np.ones(len(users), dtype=bool)
    if keep == "all" or not has_repeats(users, items):
        return mask
    keys = pair_keys(users, items)
    order = stable_order(keys)
    order = np.arange(len(keys)) if order is None else order
    ordered = keys[order]
    same = ordered[1:] == ordered[:-1]
    mask[order[1:][same] if keep == "first" else order[:-1][same]] = False
    return mask


def k_core(
    users: np.ndarray, items: np.ndarray, *, min_user_interactions: int, min_item_interactions: int
) -> np.ndarray:
    """Return the mask of the largest set of rows in which every user and item has the required number of rows.

    Dropping an item can push a user below the minimum and vice versa, so both are repeated until nothing changes.

    Args:
        users: int (N,); a repeated pair counts once per row.
        items: int (N,).
        min_user_interactions: the fewest rows of a user; 0 and 1 keep all.
        min_item_interactions: likewise for an item.

    Returns:
        bool (N,), possibly all False.
    """
    kept = np.arange(len(users), dtype=np.int64)
    while len(kept):
        enough = np.bincount(users[kept])[users[kept]] >= min_user_interactions
        enough &= np.bincount(items[kept])[items[kept]] >= min_item_interactions
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), dtype=bool)
    mask[kept] = True
    return mask
