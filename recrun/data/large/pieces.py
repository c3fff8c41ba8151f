"""Work on large columns in pieces, so that what is computed beside them stays small.

Shapes: N rows, n different values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from recrun.data.large import scratch

PIECE: Final = 1 << 22
"""The most rows that are worked on at a time; more only where one user has more."""


def are_many(n_rows: int) -> bool:
    """Return whether so many rows are worked on in pieces."""
    return n_rows > PIECE


def pieces(n_rows: int) -> Iterator[slice]:
    """Yield successive slices that cover so many rows.

    >>> list(pieces(3))
    [slice(0, 3, None)]
    """
    return (slice(start, min(start + PIECE, n_rows)) for start in range(0, n_rows, PIECE))


def pieces_of_groups(groups: np.ndarray) -> Iterator[slice]:
    """Yield successive slices that cover the rows of ascending groups (N,), each group in one of them."""
    start = 0
    while start < len(groups):
        stop = start + PIECE
        if stop < len(groups):
            inside = int(np.searchsorted(groups[start : stop + 1], groups[stop], side="left"))
            stop = start + inside if inside else start + int(np.searchsorted(groups[start:], groups[stop], "right"))
        stop = min(stop, len(groups))
        yield slice(start, stop)
        start = stop


def ranges_of_rows(indptr: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of successive ranges of compressed rows, each of bounded size.

    Args:
        indptr: the start of each row and the end of the last, int64 (U + 1,).
    """
    start, n_rows = 0, len(indptr) - 1
    while start < n_rows:
        end = int(np.searchsorted(indptr, indptr[start] + PIECE, side="right")) - 1
        stop = min(max(end, start + 1), start + PIECE, n_rows)
        yield start, stop
        start = stop


def is_ascending(values: np.ndarray) -> bool:
    """Return whether no value (N,) is below the one before it."""
    return all(bool((values[at][1:] >= values[at][:-1]).all()) for at in _overlapping(len(values)))


def is_chronological(groups: np.ndarray, times: np.ndarray) -> bool:
    """Return whether rows stand by group (N,), and within each by time (N,)."""
    for at in _overlapping(len(groups)):
        group, time = groups[at], times[at]
        in_order = (group[1:] > group[:-1]) | ((group[1:] == group[:-1]) & (time[1:] >= time[:-1]))
        if not bool(in_order.all()):
            return False
    return True


def _overlapping(n_rows: int) -> Iterator[slice]:
    """Yield slices that share a row with the next one, so that every two neighbours are in one."""
    return (slice(at.start, min(at.stop + 1, n_rows)) for at in pieces(n_rows))


def occurrences(values: np.ndarray, n: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Return how often each integer below n is among the values (N,), int64 (n,); numpy would copy them all.

    Args:
        values: integers in [0, n).
        n: how many different ones there may be.
        rows: the positions of those that count; None for all.
    """
    found = np.zeros(n, dtype=np.int64)
    for at in pieces(len(values if rows is None else rows)):
        found += np.bincount(values[at] if rows is None else values[rows[at]], minlength=n)
    return found


def select(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the rows (n, ...) of values (N, ...) where a mask (N,) is true."""
    if not are_many(len(values)):
        return np.asarray(values[mask])
    selected = scratch.empty((int(np.count_nonzero(mask)), *values.shape[1:]), values.dtype)
    start = 0
    for at in pieces(len(values)):
        piece = values[at][mask[at]]
        selected[start : start + len(piece)] = piece
        start += len(piece)
    return selected


def look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the entries (N,) of a table (n,) that codes (N,) name."""
    found = scratch.empty(len(codes), table.dtype)
    for at in pieces(len(codes)):
        found[at] = table[codes[at]]
    return found


def concatenate(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays one after the other; a single one is returned as it is."""
    if len(arrays) == 1:
        return arrays[0]
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    joined = scratch.empty(shape, np.result_type(*(each.dtype for each in arrays)))
    start = 0
    for each in arrays:
        for at in pieces(len(each)):
            joined[start + at.start : start + at.stop] = each[at]
        start += len(each)
    return joined
