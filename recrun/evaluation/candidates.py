"""Draw the candidates that are ranked for each user beside the relevant items.

Shapes: U users, B users of a block, I items, N pairs of a user and an item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recrun.data.interactions import CSR, union
from recrun.data.postprocessing.mode import check_mode
from recrun.randomness import generator

Ints = NDArray[np.int64]

_BLOCK: Final = 1024
"""Users whose candidates are drawn together; fixed, because what is drawn depends on it."""
_ROUNDS: Final = 8


def drawn(base: Any, split: str, n: int, by: str, seed: int, relevant: CSR | None = None) -> tuple[CSR, list[str]]:
    """Draw items that a user with relevant ones has neither seen nor has to be found, without replacement.

    A user with fewer such items is given all of them. By popularity, items are drawn one after the other with
    probabilities proportional to their users in train; those without any are never drawn.

    Args:
        base: the data set.
        split: "valid" or "test".
        n: how many for each user.
        by: "uniform" or "popularity".
        seed: of the draw.
        relevant: the items to be found of the evaluated users, U rows; those of all users if None.

    Returns:
        The relevant and the drawn items of each user, and notes.
    """
    mode = check_mode(split)
    relevant = base.csr(mode) if relevant is None else relevant
    excluded = union(base.seen(mode), relevant)
    random = generator(seed, 0, f"candidates of {split}")
    users = np.flatnonzero(relevant.lengths)
    weights_I = None
    if by == "popularity":
        weights_I = np.bincount(base.csr("train").indices, minlength=base.n_items).astype(np.float64)
    pick = _picker(random, base.n_items, weights_I)
    rows, items = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for start in range(0, len(users), _BLOCK):
        users_B = users[start : start + _BLOCK]
        indptr, taken_N = excluded.rows(users_B)
        keys_N = np.repeat(np.arange(len(users_B)), np.diff(indptr)) * base.n_items + taken_N
        found_N = _drawn_block(np.sort(keys_N), len(users_B), base.n_items, n, pick, random, weights_I)
        rows.append(users_B[found_N // base.n_items])
        items.append(found_N % base.n_items)
    found = CSR.from_pairs(np.concatenate(rows), np.concatenate(items), relevant.n_rows)
    n_short = int((found.lengths[users] < n).sum())
    notes = [f"{n_short:,} users of {split} have fewer than {n} other items, and all of these are candidates"]
    return union(found, relevant), notes if n_short else []


def _picker(random: np.random.Generator, n_items: int, weights_I: NDArray[np.float64] | None) -> Callable[[int], Ints]:
    """Return a function that draws so many items with replacement."""
    if weights_I is None:
        return lambda n: random.integers(0, n_items, n)
    bounds_I = np.cumsum(weights_I)
    return lambda n: np.searchsorted(bounds_I, random.random(n) * bounds_I[-1], side="right")


def _drawn_block(
    excluded_N: Ints,
    n_rows: int,
    n_items: int,
    n: int,
    pick: Callable[[int], Ints],
    random: np.random.Generator,
    weights_I: NDArray[np.float64] | None,
) -> Ints:
    """Return n pairs of each row as keys `row * n_items + item`; drawn with replacement, repeated ones are drawn anew.

    Rows that are not full after some rounds have few items left to draw, or likely ones; theirs are drawn among what
    is left, which has the same distribution.
    """
    taken_N, found = excluded_N, [np.empty(0, dtype=np.int64)]
    missing_B = np.full(n_rows, n)
    for _ in range(_ROUNDS):
        wanted_B = np.where(missing_B > 0, missing_B + missing_B // 4 + 4, 0)
        rows_N = np.repeat(np.arange(n_rows), wanted_B)
        if not len(rows_N):
            break
        keys_N = rows_N * n_items + pick(len(rows_N))
        keys_N = keys_N[~among(keys_N, taken_N)]
        keys_N = keys_N[np.sort(np.unique(keys_N, return_index=True)[1])]  # the first of each, in the order drawn
        rows_N = keys_N // n_items
        starts_B = np.searchsorted(rows_N, np.arange(n_rows))
        keys_N = keys_N[np.arange(len(rows_N)) - starts_B[rows_N] < missing_B[rows_N]]
        missing_B = missing_B - np.bincount(keys_N // n_items, minlength=n_rows)
        taken_N = np.sort(np.concatenate([taken_N, keys_N]))
        found.append(keys_N)
    for row in np.flatnonzero(missing_B):
        start, stop = np.searchsorted(taken_N, [row * n_items, (row + 1) * n_items])
        is_free_I = np.ones(n_items, dtype=bool) if weights_I is None else weights_I > 0
        is_free_I[taken_N[start:stop] - row * n_items] = False
        free = np.flatnonzero(is_free_I)
        if len(free) > missing_B[row]:
            shares = None if weights_I is None else weights_I[free] / weights_I[free].sum()
            free = random.choice(free, missing_B[row], replace=False, p=shares)
        found.append(row * n_items + free)
    return np.concatenate(found)


def among(keys_N: Ints, sorted_M: Ints) -> NDArray[np.bool_]:
    """Return which of some keys, (N,), are among sorted ones."""
    if not len(sorted_M):
        return np.zeros(len(keys_N), dtype=bool)
    places_N = np.minimum(np.searchsorted(sorted_M, keys_N), len(sorted_M) - 1)
    return np.asarray(sorted_M[places_N] == keys_N)
