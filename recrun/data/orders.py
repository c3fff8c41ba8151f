"""Sort large arrays of integers in less time than numpy does."""

from __future__ import annotations

import numpy as np

from recrun.data.large.pieces import is_ascending, is_chronological


def stable_order(keys: np.ndarray) -> np.ndarray | None:
    """Return the order that sorts `keys` stably, or None if they are already sorted.

    Args:
        keys: non-negative integers, shape (N,).

    Returns:
        int64 (N,), or None.
    """
    if is_ascending(keys):
        return None
    bits = int(len(keys) - 1).bit_length()
    if int(keys.max()).bit_length() + bits > 62:
        return np.argsort(keys, kind="stable")
    # Pack key and position into one integer: no two are equal, so the fast unstable sort gives the stable order.
    packed = keys.astype(np.int64)
    packed <<= bits
    packed |= np.arange(len(keys), dtype=np.int32 if bits < 32 else np.int64)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def chronological_order(users: np.ndarray, times: np.ndarray | None) -> np.ndarray | None:
    """Return the stable order by user, then time, or None if the rows are already in this order.

    Args:
        users: int (N,).
        times: (N,), or None to order by user only.

    Returns:
        int64 (N,), or None.
    """
    if times is None or len(users) < 2:
        return stable_order(users)
    if is_chronological(users, times):
        return None
    # Two stable integer sorts, the minor key first, are much faster than numpy's lexsort.
    if times.dtype.kind == "i":
        by_time = stable_order(times - times.min())
    else:
        by_time = np.argsort(times, kind="stable")
    if by_time is None:
        return stable_order(users)
    by_user = stable_order(users[by_time])
    return by_time if by_user is None else by_time[by_user]


def sorted_distinct(values: np.ndarray) -> np.ndarray:
    """Return the distinct values, ascending; many times faster on large arrays than numpy's `unique`, which hashes."""
    ordered = np.sort(values)
    if len(ordered) < 2:
        return ordered
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
