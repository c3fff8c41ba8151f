"""Find seen items and draw unseen ones exactly, for many users at once.

Shapes: U users, I items, N pairs asked for. Seen items come as compressed rows (`CSR`), ascending in each row.

Both use binary searches within the rows, for all pairs of a block at once: no users x items table is needed, and the
work for N pairs grows only with the logarithm of the longest row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recrun.data.large import scratch
from recrun.errors import DataError

if TYPE_CHECKING:
    from recrun.data.interactions import CSR

_BITS_PER_PAIR = 16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1 << 14


class SeenItems:
    """Finds which of many (user, item) pairs are seen.

    A binary search for each pair waits for memory a dozen times. A table with one bit set for the hash of each seen
    pair rules out all but a few percent of the unseen pairs with a single read; only the rest are searched for.

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
        for first, part in seen.pieces():
            bits = self._hash((_rows(part) + first) * n_items + part.indices)
            np.bitwise_or.at(self._table, bits >> 3, _bit(bits))

    def find(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the positions of the pairs that are seen, int64, ascending.

        Args:
            users: integers `(N,)`.
            items: integers `(N,)`.
        """
        codes = users.astype(np.int64)
        codes *= self._n_items
        codes += items
        bits = self._hash(codes)
        candidates = np.flatnonzero(self._table[bits >> 3] & _bit(bits))
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
    """Draws from each user's unseen items, with probability proportional to the item's weight.

    Lay a user's unseen items side by side on a line, each as long as its weight: every point belongs to an item. The
    item at point t is found by shifting t past the seen items before it, which a binary search counts. So one uniform
    integer makes one exact draw: nothing is rejected, and users who have seen nearly everything take no longer.

    Args:
        seen: each user's items.
        n_items: I.
        weights: positive integers `(I,)`, with U * sum(weights) < 2**63; all 1 when None.

    Attributes:
        mass: total weight of each user's unseen items, int64 `(U,)`; without weights their number.
    """

    def __init__(self, seen: CSR, n_items: int, weights: np.ndarray | None = None) -> None:
        self._indptr = seen.indptr
        self._ends = self._seen_mass = None
        if weights is None:
            self.mass = n_items - seen.lengths
            self._keys = scratch.empty(seen.nnz, seen.indices.dtype)
            for start, part in seen.pieces():
                rank = np.arange(part.nnz, dtype=part.indices.dtype)
                rank -= np.repeat(part.indptr[:-1].astype(rank.dtype), part.lengths)
                self._keys[seen.indptr[start] : seen.indptr[start + part.n_rows]] = part.indices - rank
            return
        self._ends = np.cumsum(weights)
        self._seen_mass = scratch.empty(seen.nnz + 1, np.int64)
        self._seen_mass[0] = 0
        self._keys = scratch.empty(seen.nnz, np.int64)
        starts = self._ends - weights
        for start, part in seen.pieces():
            first, last = seen.indptr[start], seen.indptr[start + part.n_rows]
            passed = self._seen_mass[first] + np.cumsum(weights[part.indices])
            self._seen_mass[first + 1 : last + 1] = passed
            before = np.repeat(self._seen_mass[seen.indptr[start : start + part.n_rows]], part.lengths)
            # The position of each seen item on the line of unseen items of its row.
            self._keys[first:last] = starts[part.indices] - self._seen_mass[first:last] + before
        self.mass = int(self._ends[-1]) - np.diff(self._seen_mass[self._indptr])

    def at(self, users: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return the unseen item at each point, int32 `(N,)`.

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
        """Return one unseen item for each user, int32 `(N,)`; every user must have at least one."""
        return self.at(users, rng.integers(0, self.mass[users]))

    def draw_distinct(self, users: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
        """Return `size` different unseen items for each user, every such set equally likely; only without weights.

        Args:
            users: integers `(N,)`.
            size: how many; at most the number of unseen items of each user.

        Returns:
            int32 `(N, size)`.
        """
        ranks = np.empty((size, len(users)), dtype=np.int64)
        for step, row in enumerate(ranks):
            # Floyd's subset sampling: the newly admitted rank replaces one that is already taken.
            newest = self.mass[users] - size + step
            row[:] = rng.integers(0, newest, endpoint=True)
            taken = (ranks[:step] == row).any(axis=0)
            row[taken] = newest[taken]
        return self.at(np.repeat(users, size), ranks.T.ravel()).reshape(len(users), size)


def refuse_short_of(needed: int, mass: np.ndarray, what: str, user_ids: np.ndarray | None = None) -> None:
    """Check that every user has enough unseen items.

    Args:
        needed: how many each user must have.
        mass: the number (or total weight, when only one is needed) of each user's unseen items, `(U,)`.
        what: what they are needed for, as written in the message.
        user_ids: the original id of each user, `(U,)`; if None, the internal id is named.

    Raises:
        DataError: some users do not have enough.
    """
    short = np.flatnonzero(mass < needed)
    if len(short):
        have = "have seen every item" if needed == 1 else f"have fewer than {needed} unseen items"
        first = f"internal id {short[0]}" if user_ids is None else f"user {user_ids[short[0]]}"
        other = "train without sampled negatives (model: ease, or loss: cross_entropy)"
        raise DataError(
            f"{len(short):,} of {len(mass):,} users {have} (the first: {first}), so {what} cannot be drawn"
            f"; leave such users out of the data, or {other if needed == 1 else 'ask for fewer negatives'}"
        )


def _first_above(keys: np.ndarray, starts: np.ndarray, stops: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the position of the first key above a bound in each range of ascending keys, or the end of the range.

    All searches of a block advance together, so that their memory reads overlap; one search at a time, as numpy does
    it, waits for each read.

    Args:
        keys: ascending within every range.
        starts: the first position of each range, int64 `(N,)`.
        stops: the position after its last, int64 `(N,)`.
        bounds: integers `(N,)`.

    Returns:
        int64 `(N,)`.
    """
    positions: np.ndarray = starts.copy()
    for begin in range(0, len(positions), _BLOCK):
        position, start, stop, bound = (each[begin : begin + _BLOCK] for each in (positions, starts, stops, bounds))
        for power in reversed(range(int((stop - start).max()).bit_length())):
            step = 1 << power
            last = position + (step - 1)
            passes = last < stop
            passes &= keys.take(last, mode="clip") <= bound
            position += passes * np.int64(step)
    return positions


def _rows(csr: CSR) -> np.ndarray:
    return np.repeat(np.arange(csr.n_rows, dtype=np.int64), csr.lengths)


def _bit(positions: np.ndarray) -> np.ndarray:
    """Return the mask of each bit within its byte."""
    masks: np.ndarray = np.left_shift(np.uint8(1), (positions & 7).astype(np.uint8))
    return masks
