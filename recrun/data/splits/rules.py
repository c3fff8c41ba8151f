"""Label each interaction as train, valid or test.

Shapes: N interactions, U users. As each interaction has one label, the parts are disjoint. Every rule leaves each user
at least one interaction in train, except splits by global time or by items, which may not, and by users, which hold out
some users entirely.
"""

from __future__ import annotations

import numpy as np

from recrun.data.large.pieces import are_many, is_ascending, is_chronological, occurrences, pieces, pieces_of_groups
from recrun.data.orders import chronological_order, stable_order
from recrun.data.splits import GIVEN, LEFT_OUT, TEST, TRAIN, VALID
from recrun.errors import DataError


def rank_within_user(users: np.ndarray, n_users: int, order: np.ndarray | None = None) -> np.ndarray:
    """Return the rank of each interaction among those of its user, from 0.

    Args:
        users: int (N,).
        n_users: U.
        order: a permutation of the rows that gives the order within each user; None for the order of the rows.

    Returns:
        int32 (N,), or int64 from 2^31 rows on.
    """
    if order is not None and are_many(len(users)) and is_ascending(users):
        return _ranks_in_pieces(users, order)
    by_user = stable_order(users if order is None else users[order])
    counts = occurrences(users, n_users)
    size = np.int32 if len(users) < 2**31 else np.int64
    ranks = np.arange(len(users), dtype=size)
    ranks -= np.repeat((np.cumsum(counts) - counts).astype(size), counts)
    if by_user is not None:
        ranks = _scattered(ranks, by_user)
        del by_user
    return ranks if order is None else _scattered(ranks, order)


def _ranks_in_pieces(users: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return what `rank_within_user` does, for rows that stand by user."""
    size = np.int32 if len(users) < 2**31 else np.int64
    place = _scattered(np.arange(len(users), dtype=size), order)
    for at in pieces_of_groups(users):
        of_user = users[at] - users[at.start]
        by_place = chronological_order(of_user, place[at])
        starts = np.flatnonzero(np.diff(of_user, prepend=-1))
        ranks = np.arange(len(of_user), dtype=size)
        ranks -= np.repeat(starts.astype(size), np.diff(starts, append=len(of_user)))
        place[at] = ranks if by_place is None else _scattered(ranks, by_place)
    return place


def _permutation(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random order of n rows: the one that `rng.permutation(n)` gives, in half of its memory."""
    order = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
    rng.shuffle(order)
    return order


def _scattered(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the values at other positions: `values[i]` at `positions[i]`."""
    scattered = np.empty_like(values)
    scattered[positions] = values
    return scattered


def held_out_counts(counts: np.ndarray, ratio: float) -> np.ndarray:
    """Return how many of `counts` interactions a ratio holds out: to the nearest integer, halves up, never all.

    >>> held_out_counts(np.array([0, 1, 4, 5, 10]), 0.1).tolist()
    [0, 0, 0, 1, 1]
    """
    nearest = np.floor(counts * ratio + 0.5 + 1e-9).astype(np.int64)
    held_out: np.ndarray = np.minimum(nearest, np.maximum(counts - 1, 0))
    return held_out


def by_ratio(
    users: np.ndarray, n_users: int, *, test_ratio: float, valid_ratio: float, rng: np.random.Generator
) -> np.ndarray:
    """Label a random share of each user's interactions as test, and another as valid.

    The test part does not depend on `valid_ratio`.

    Args:
        users: int (N,).
        n_users: U.
        test_ratio: share of each user's interactions; see `held_out_counts` for the rounding.
        valid_ratio: share of each user's interactions (of all, not of what remains after test).
        rng: the source of randomness.

    Returns:
        int8 (N,): 0 train, 1 valid, 2 test.
    """
    ranks = rank_within_user(users, n_users, _permutation(len(users), rng))
    return _label(users, ranks, *_shares(users, n_users, test_ratio, valid_ratio))


def by_user_time(
    users: np.ndarray, times: np.ndarray, n_users: int, *, test_ratio: float, valid_ratio: float
) -> np.ndarray:
    """Label the latest share of each user's interactions as test, and the share before it as valid.

    Among equal times a later row counts as later. Arguments and labels as in `by_ratio`.
    """
    return _label(users, _rank_from_latest(users, times, n_users), *_shares(users, n_users, test_ratio, valid_ratio))


def leave_one_out(users: np.ndarray, times: np.ndarray, n_users: int, *, with_valid: bool) -> np.ndarray:
    """Label each user's latest interaction as test and, if asked, the one before it as valid.

    Users with too few interactions (fewer than 2, or 3 with a valid part) stay in train, as is usual for SASRec.
    """
    counts = occurrences(users, n_users)
    enough = (counts >= 2 + with_valid).astype(np.int64)
    return _label(users, _rank_from_latest(users, times, n_users), enough, enough * with_valid)


def leave_k(users: np.ndarray, times: np.ndarray, n_users: int, *, n_held_out: int, with_valid: bool) -> np.ndarray:
    """Label each user's latest `n_held_out` interactions as test and, if asked, as many before them as valid.

    Users with too few to leave one in train (fewer than n_held_out + 1, or 2 n_held_out + 1 with a valid part) stay in
    train.
    """
    counts = occurrences(users, n_users)
    n_test = np.where(counts > n_held_out * (1 + with_valid), n_held_out, 0)
    return _label(users, _rank_from_latest(users, times, n_users), n_test, n_test * with_valid)


def by_fold(
    users: np.ndarray, n_users: int, *, n_folds: int, fold: int, valid_ratio: float, rng: np.random.Generator
) -> np.ndarray:
    """Label one of several folds as test, and a random share of each user's other interactions as valid.

    Each user's interactions are divided among the folds at random and evenly, to within one. Over all folds, with the
    same seed, every interaction is in test once, except that of a user with a single one, which is always in train.

    Args:
        users: int (N,).
        n_users: U.
        n_folds: at least 2.
        fold: the fold held out for test, counted from 1.
        valid_ratio: share of each user's interactions (of all); at least one is left in train.
        rng: the source of randomness.

    Returns:
        int8 (N,): 0 train, 1 valid, 2 test.
    """
    ranks = rank_within_user(users, n_users, _permutation(len(users), rng))
    counts = occurrences(users, n_users)
    # Each user starts at a random fold; otherwise the first folds would get all the remainders.
    dealt = (ranks + rng.integers(n_folds, size=n_users)[users]) % n_folds + 1
    is_test = (dealt == fold) & (counts > 1)[users]
    labels = np.where(is_test, TEST, TRAIN).astype(np.int8)
    rest = np.flatnonzero(~is_test)
    n_rest = occurrences(users[rest], n_users)
    n_valid = np.minimum(held_out_counts(counts, valid_ratio), np.maximum(n_rest - 1, 0))
    ranks = rank_within_user(users[rest], n_users, _permutation(len(rest), rng))
    labels[rest] = _label(users[rest], ranks, np.zeros_like(n_valid), n_valid)
    return labels


def by_group(
    groups: np.ndarray, n_groups: int, *, test_ratio: float, valid_ratio: float, rng: np.random.Generator
) -> np.ndarray:
    """Label all interactions of a random share of users (or of items) as test, and those of another as valid.

    The held-out users (items) are cold: they do not occur in train. Shares are of the users (items) that occur, rounded
    to the nearest integer; at least one is left for train.

    Args:
        groups: the user (item) of each row, int (N,).
        n_groups: number of users (items).
        test_ratio: share of them in test.
        valid_ratio: share of them in valid.
        rng: the source of randomness.

    Returns:
        int8 (N,): 0 train, 1 valid, 2 test.
    """
    present = np.flatnonzero(occurrences(groups, n_groups))
    shuffled = rng.permutation(present)
    n_test = int(held_out_counts(np.array([len(present)]), test_ratio)[0])
    n_valid = min(int(held_out_counts(np.array([len(present)]), valid_ratio)[0]), len(present) - n_test - 1)
    label_of = np.zeros(n_groups, dtype=np.int8)
    label_of[shuffled[:n_test]] = TEST
    label_of[shuffled[n_test : n_test + n_valid]] = VALID
    labels: np.ndarray = label_of[groups]
    return labels


def by_new_users(
    users: np.ndarray,
    items: np.ndarray,
    times: np.ndarray | None,
    n_users: int,
    n_items: int,
    *,
    test_ratio: float,
    valid_ratio: float,
    fold_in_ratio: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Label the rows of a random share of users as test, and those of another as valid, but for a share that is given.

    Of a held-out user's rows those with items that no train user has are left out. Of the n others
    (1 - fold_in_ratio) n are held out, rounded down. A user of whom none is has only given rows, and is not tested.

    *Source:* the strong generalisation of Marlin, "Collaborative Filtering: A Machine Learning Perspective", 2004, as
    in the code of Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018, where of a user with
    fewer than 5 items nothing is held out.

    Args:
        users: int (N,).
        items: int (N,).
        times: (N,), to give the earliest rows of each user; None to give random ones.
        n_users: U.
        n_items: I.
        test_ratio: share of the users in test.
        valid_ratio: share of the users in valid.
        fold_in_ratio: share of a held-out user's rows that is given, above 0 and below 1.
        rng: the source of randomness.

    Returns:
        int8 (N,): 0 train, 1 valid, 2 test, 3 given, 4 left out.
    """
    labels = by_group(users, n_users, test_ratio=test_ratio, valid_ratio=valid_ratio, rng=rng)
    keys = rng.permutation(len(users))  # of all rows, so that little of test depends on valid_ratio
    is_known = occurrences(items[labels == TRAIN], n_items) > 0
    labels[(labels != TRAIN) & ~is_known[items]] = LEFT_OUT
    rest = np.flatnonzero((labels == VALID) | (labels == TEST))
    n_held_out = np.floor((1 - fold_in_ratio) * np.bincount(users[rest], minlength=n_users) + 1e-9).astype(np.int64)
    if times is None:
        ranks = rank_within_user(users[rest], n_users, np.argsort(keys[rest]))
    else:
        ranks = _rank_from_latest(users[rest], times[rest], n_users)
    labels[rest[ranks >= n_held_out[users[rest]]]] = GIVEN
    return labels


def by_time(times: np.ndarray, *, test_ratio: float, valid_ratio: float) -> np.ndarray:
    """Label all interactions from one moment on as test, and those from an earlier moment on as valid.

    The moments are chosen so that the shares of all interactions are reached, counted back from the end for test and
    from the start of test for valid. Interactions of equal time stay together, so parts may be larger than asked for.

    Raises:
        DataError: train would be empty, because too many interactions share the earliest time.
    """
    ordered = np.sort(times)
    labels = np.zeros(len(times), dtype=np.int8)
    for label, ratio in ((TEST, test_ratio), (VALID, valid_ratio)):
        n_held_out = int(held_out_counts(np.array([len(times)]), ratio)[0])
        if n_held_out:
            moment = ordered[max(len(ordered) - n_held_out, 0)]
            if moment == ordered[0]:
                n_earliest = int((times == moment).sum())
                raise DataError(
                    f"split=time leaves no interaction in train: {n_earliest:,} of {len(times):,} have the earliest "
                    f"time {moment}; use another split or smaller ratios"
                )
            labels[(times >= moment) & (labels == TRAIN)] = label
            ordered = ordered[: np.searchsorted(ordered, moment)]
    return labels


def _shares(users: np.ndarray, n_users: int, test_ratio: float, valid_ratio: float) -> tuple[np.ndarray, np.ndarray]:
    counts = occurrences(users, n_users)
    n_test = held_out_counts(counts, test_ratio)
    n_valid = np.minimum(held_out_counts(counts, valid_ratio), np.maximum(counts - n_test - 1, 0))
    return n_test, n_valid


def _label(users: np.ndarray, ranks: np.ndarray, n_test: np.ndarray, n_valid: np.ndarray) -> np.ndarray:
    """Label the first `n_test` ranks of each user as test and the next `n_valid` as valid."""
    labels = np.zeros(len(users), dtype=np.int8)
    for at in pieces(len(users)):
        of_piece = labels[at]
        of_piece[ranks[at] < (n_test + n_valid)[users[at]]] = VALID
        of_piece[ranks[at] < n_test[users[at]]] = TEST
    return labels


def _rank_from_latest(users: np.ndarray, times: np.ndarray, n_users: int) -> np.ndarray:
    order = None if is_chronological(users, times) else np.argsort(times, kind="stable")
    ranks = rank_within_user(users, n_users, order)
    last = (occurrences(users, n_users) - 1).astype(ranks.dtype)
    for at in pieces(len(users)):
        ranks[at] = last[users[at]] - ranks[at]
    return ranks
