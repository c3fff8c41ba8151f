"""Filter interactions: masks of the rows to keep without repeated pairs, and for k-cores."""

from __future__ import annotations

import numpy as np

from recrun.data.large.pieces import are_many, is_ascending, occurrences, pieces, pieces_of_groups
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
    return _has_repeats(pair_keys(users, items))


def _has_repeats(keys: np.ndarray) -> bool:
    ordered = np.sort(keys)
    return bool((ordered[1:] == ordered[:-1]).any())


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
    if keep == "all":
        return mask
    # Where rows stand by user, those of a pair are near each other.
    whole = not (are_many(len(users)) and is_ascending(users))
    for at in [slice(0, len(users))] if whole else pieces_of_groups(users):
        keys = pair_keys(users[at], items[at])
        if not _has_repeats(keys):
            continue
        order = stable_order(keys)
        order = np.arange(len(keys)) if order is None else order
        ordered = keys[order]
        same = ordered[1:] == ordered[:-1]
        mask[at.start + (order[1:][same] if keep == "first" else order[:-1][same])] = False
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
    kept = np.arange(len(users), dtype=np.int32 if len(users) < 2**31 else np.int64)
    while len(kept):
        enough = np.ones(len(kept), dtype=bool)
        for ids, least in ((users, min_user_interactions), (items, min_item_interactions)):
            has_enough = occurrences(ids, int(ids.max()) + 1, kept) >= least
            for at in pieces(len(kept)):
                enough[at] &= has_enough[ids[kept[at]]]
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), dtype=bool)
    mask[kept] = True
    return mask
