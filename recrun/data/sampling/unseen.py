"""The items that a user has seen, and those the user has not: exact membership and exact draws, for many users at once.

U users, I items, N pairs asked for. Seen items come as compressed rows (`CSR`), ascending in each row.

Both sides rest on binary searches within the rows, all pairs of a block side by side: no users x items table is needed,
and the work for N pairs grows with the logarithm of the longest row only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recrun.errors import DataError

if TYPE_CHECKING:
    from recrun.data.interactions import CSR

_BITS_PER_PAIR = 16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1 << 14


class SeenItems:
    """Tells which of many (user, item) pairs are seen.

    A binary search for each pair waits for the memory a dozen times. A table of bits, one set for the hash of each seen
    pair, answers "not seen" for all but a few percent of the unseen pairs with one look; the others are searched for.

    Args:
        seen: each user's items.
        n_items: I.
    """

    def __init__(self, seen: CSR, n_items: int) -> None:
        self._n_items = n_items
        self._indptr, self._items = seen.indptr, seen.indices
        n_bits = max(10, int(seen.nnz * _BITS_PER_PAIR).bit_length())
        self._shift = np.uint64(64 - n_bits)
        self._table = np.zeros(1 << (n_bits - 3), dtype=np.uint8)
        places = self._hash(_rows(seen) * n_items + seen.indices)
        np.bitwise_or.at(self._table, places >> 3, _bit(places))

    def find(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the positions of the pairs that are seen, int64, ascending.

        Args:
            users: integers `(N,)`.
            items: integers `(N,)`.
        """
        codes = users.astype(np.int64)
        codes *= self._n_items
        codes += items
        places = self._hash(codes)
        candidates = np.flatnonzero(self._table[places >> 3] & _bit(places))
        rows, wanted = users[candidates], items[candidates]
        starts = self._indptr[rows]
        found = _first_above(self._items, starts, self._indptr[rows + 1], wanted)
        candidates, found, wanted = (each[found > starts] for each in (candidates, found, wanted))
        positions: np.ndarray = candidates[self._items[found - 1] == wanted]
        return positions

    def _hash(self, codes: np.ndarray) -> np.ndarray:
        hashed: np.ndarray = codes.view(np.uint64) * _GOLDEN
        hashed >>= self._shift
        return hashed.view(np.int64)


class UnseenItems:
    """Draws from each user's unseen items, with probability proportional to a weight of the item.

    Lay a user's unseen items side by side, each as long as its weight: a point on that line is an item. The item under
    point t is found by shifting t over the seen items before it, whose number a binary search gives. So one uniform
    integer makes one exact draw: nothing is rejected, and a user who has seen nearly everything takes no longer.

    Args:
        seen: each user's items.
        n_items: I.
        weights: positive integers `(I,)`, with U * sum(weights) < 2**63; all 1 when None.

    Attributes:
        mass: total weight of each user's unseen items, int64 `(U,)`: without weights, their number.
    """

    def __init__(self, seen: CSR, n_items: int, weights: np.ndarray | None = None) -> None:
        self._indptr = seen.indptr
        first = seen.indptr[:-1]
        self._ends = self._seen_mass = None
        if weights is None:
            self.mass = n_items - seen.lengths
            rank = np.arange(seen.nnz, dtype=seen.indices.dtype)
            rank -= np.repeat(first.astype(rank.dtype), seen.lengths)
            self._keys = seen.indices - rank
            return
        self._ends = np.cumsum(weights)
        self._seen_mass = np.concatenate(([0], np.cumsum(weights[seen.indices])))
        before = self._seen_mass[first]
        self.mass = int(self._ends[-1]) - (self._seen_mass[self._indptr[1:]] - before)
        # Where each seen item stands among the unseen ones of its row.
        self._keys = (self._ends - weights)[seen.indices] - self._seen_mass[:-1] + np.repeat(before, seen.lengths)

    def at(self, users: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the unseen item under each point, int32 `(N,)`.

        Args:
            users: integers `(N,)`.
            points: integers `(N,)` in `[0, mass[user])`; without weights, point r is the r-th smallest unseen item.
        """
        starts = self._indptr[users]
        passed = _first_above(self._keys, starts, self._indptr[users + 1], points)
        if self._ends is None or self._seen_mass is None:
            items = points + (passed - starts)
        else:
            on_line = points + (self._seen_mass[passed] - self._seen_mass[starts])
            items = np.searchsorted(self._ends, on_line, side="right")
        return np.asarray(items, dtype=np.int32)

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return one unseen item for each user, int32 `(N,)`; every user must have one."""
        return self.at(users, rng.integers(0, self.mass[users]))

    def draw_distinct(self, users: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return `size` different unseen items for each user, every set of them equally likely; without weights only.

        Args:
            users: integers `(N,)`.
            size: how many, at most the unseen items of each user.

        Returns:
            int32 `(N, size)`.
        """
        ranks = np.empty((size, len(users)), dtype=np.int64)
        for step, row in enumerate(ranks):
            # Floyd's subset sampling: the newly admitted rank stands in for one that is taken already.
            newest = self.mass[users] - size + step
            row[:] = rng.integers(0, newest, endpoint=True)
            taken = (ranks[:step] == row).any(axis=0)
            row[taken] = newest[taken]
        return self.at(np.repeat(users, size), ranks.T.ravel()).reshape(len(users), size)


def refuse_short_of(needed: int, mass: np.ndarray, what: str) -> None:
    """Check that every user has enough unseen items.

    Args:
        needed: how many each user must have.
        mass: the number (or total weight, when only one is needed) of each user's unseen items, `(U,)`.
        what: what they are needed for, as it reads in the message.

    Raises:
        DataError: some users have not.
    """
    short = np.flatnonzero(mass < needed)
    if len(short):
        have = "have seen every item" if needed == 1 else f"have fewer than {needed} unseen items"
        raise DataError(
            f"{len(short)} of {len(mass)} users {have} (the first: internal id {short[0]}), so {what} cannot be drawn"
            "; leave such users out of the data" + ("" if needed == 1 else " or ask for fewer negatives")
        )


def _first_above(keys: np.ndarray, starts: np.ndarray, stops: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return where the first key above a bound stands in each range of ascending keys, its end where there is none.

    All searches of a block take a step together, so that their reads of memory overlap; a search at a time, as numpy
    does it, waits for each.

    Args:
        keys: ascending within every range.
        starts: first place of each range, int64 `(N,)`.
        stops: the place behind its last, int64 `(N,)`.
        bounds: integers `(N,)`.

    Returns:
        int64 `(N,)`.
    """
    places: np.ndarray = starts.copy()
    for begin in range(0, len(places), _BLOCK):
        place, start, stop, bound = (each[begin : begin + _BLOCK] for each in (places, starts, stops, bounds))
        for power in reversed(range(int((stop - start).max()).bit_length())):
            step = 1 << power
            last = place + (step - 1)
            passes = last < stop
            passes &= keys.take(last, mode="clip") <= bound
            place += passes * np.int64(step)
    return places


def _rows(csr: CSR) -> np.ndarray:
    return np.repeat(np.arange(csr.n_rows, dtype=np.int64), csr.lengths)


def _bit(places: np.ndarray) -> np.ndarray:
    bits: np.ndarray = np.left_shift(np.uint8(1), (places & 7).astype(np.uint8))
    return bits
