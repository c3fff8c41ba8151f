"""Cut interactions into sessions, hold out the latest sessions, and test on each position of a session.

Shapes: N interactions, U users, I items. A session is a user here: it has a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from recrun.data.datasets.numbered import Rows
from recrun.data.formats.table import Ids, Table
from recrun.data.formats.values.times import UNITS, find_unit
from recrun.data.interactions import TIMESTAMP
from recrun.data.orders import stable_order
from recrun.data.splits import GIVEN, LEFT_OUT, TEST, TRAIN, VALID, Unsplit
from recrun.data.splits.rules import held_out_counts
from recrun.errors import DataError
from recrun.time_span import seconds_of

DAY: Final = 86_400
"""The seconds of a day."""


def units_in_a_second(tables: Sequence[Table], times: np.ndarray, setting: str) -> int:
    """Return how many units of a data set's times make a second.

    Args:
        tables: where the times are from.
        times: all times (N,).
        setting: what needs it, for messages.

    Raises:
        DataError: there are no times, or it is not known what they count.
    """
    path = tables[0].path
    if not len(times) or any(table.time_is_order for table in tables):
        raise DataError(f"{setting} needs the time of each interaction, and {path} has none; name it with time_column")
    if all(table.time_is_date for table in tables):
        return UNITS["seconds"]
    unit = find_unit(times)
    if unit is None:
        raise DataError(f"{setting} needs dates, or times since 1970; those of {path} are numbers such as {times[0]}")
    return UNITS[unit]


def cut_at_gaps(rows: Rows, gap: str | float, second: int) -> tuple[Rows, str]:
    """Cut each user's interactions into sessions, which take the place of users; return them with a note.

    A session ends where the next interaction of its user is more than the gap later. Session k of a user, from 1, has
    the id `user:k`.

    Args:
        rows: ordered by user, then by time.
        gap: the longest inactivity within a session, a span of time.
        second: how many units of time make a second.
    """
    seconds = seconds_of(gap)
    assert seconds is not None  # checked with the other settings
    users, times = rows.users.codes, rows.columns[TIMESTAMP]
    is_new_user = np.diff(users, prepend=-1) != 0
    is_first = is_new_user | (np.diff(times, prepend=times[:1]) > seconds * second)
    sessions = np.cumsum(is_first) - 1
    starts = np.flatnonzero(is_first)
    of_user = users[starts]
    numbers = np.arange(len(starts)) - np.maximum.accumulate(np.where(is_new_user[starts], np.arange(len(starts)), 0))
    names = _joined(rows.users.names[of_user], ":", numbers + 1)
    note = f"the interactions of {int(is_new_user.sum()):,} users are {len(starts):,} sessions, cut at gaps above {gap}"
    return _with_users(rows, sessions, names)[0], note


def by_sessions(rows: Unsplit) -> np.ndarray:
    """Label the latest sessions as test, those before as valid, and of each all but the last item as given.

    A session counts by its end. Held out are the sessions of the last `test_days` days, or the latest `test_ratio` of
    all sessions; of the others, those of the last `valid_days` days before the end of the latest one, or the latest
    `valid_ratio` of all. Sessions that end at the same time stay together. Of held-out sessions, items that no train
    session has are left out. A session of which a single item is left has only given rows, and is not tested.

    *Source:* the split by days is that of the code of Hidasi et al., "Session-based Recommendations with Recurrent
    Neural Networks", ICLR 2016, which holds out sessions that end within a day of the latest one.

    Returns:
        int8 (N,): 0 train, 1 valid, 2 test, 3 given, 4 left out.

    Raises:
        DataError: no session is left for train.
    """
    users = rows.users
    is_last = np.append(users[1:] != users[:-1], True)
    present, ends = users[is_last], rows.times[is_last]
    labels_S = np.zeros(len(present), dtype=np.int8)
    shares = ((TEST, rows.test_ratio, rows.test_days), (VALID, rows.valid_ratio, rows.valid_days))
    for label, ratio, days in shares:
        rest = np.flatnonzero(labels_S == TRAIN)
        held_out = _is_latest(ends[rest], len(present), ratio, None if days is None else days * DAY * rows.second)
        if held_out.all():
            raise DataError(
                "split=sessions leaves no session for train: hold out fewer, by test_days and valid_days or by "
                "test_ratio and valid_ratio"
            )
        labels_S[rest[held_out]] = label
    label_U = np.zeros(rows.n_users, dtype=np.int8)
    label_U[present] = labels_S
    of_session = label_U[users]
    is_known_I = np.bincount(rows.items[of_session == TRAIN], minlength=rows.n_items) > 0
    labels = np.where(of_session == TRAIN, TRAIN, GIVEN).astype(np.int8)
    labels[(of_session != TRAIN) & ~is_known_I[rows.items]] = LEFT_OUT
    kept = np.flatnonzero(labels == GIVEN)
    lasts = kept[np.append(users[kept[1:]] != users[kept[:-1]], True)] if len(kept) else kept
    n_kept_U = np.bincount(users[kept], minlength=rows.n_users)
    lasts = lasts[n_kept_U[users[lasts]] > 1]
    labels[lasts] = of_session[lasts]
    return labels


def _is_latest(ends: np.ndarray, n_sessions: int, ratio: float, span: float | None) -> np.ndarray:
    """Return which of some sessions are held out, by their ends (S,)."""
    if span is not None:
        return np.asarray(ends >= ends.max() - span)
    n_held_out = int(held_out_counts(np.array([n_sessions]), ratio)[0])
    if not n_held_out:
        return np.zeros(len(ends), dtype=bool)
    return np.asarray(ends >= np.sort(ends)[max(len(ends) - n_held_out, 0)])


class Positions(NamedTuple):
    """Rows in which each item of a held-out session but the first is to be found once."""

    rows: Rows
    """With a user for each of these items, who is given what came before it."""
    labels: np.ndarray
    """Of the rows (N,)."""
    beginnings: np.ndarray
    """Which users are only the beginning of a session, bool (U,)."""
    note: str
    """What a user should know."""


def each_position(rows: Rows, labels: np.ndarray) -> Positions:
    """Add the beginnings of held-out sessions, so that each item but the first is to be found from those before it.

    The session itself has its last item to be found. The beginning that ends with item n, to be found, has the id
    `session@n`.

    Args:
        rows: ordered by user, then by time.
        labels: int8 (N,): 0 train, 1 valid, 2 test, 3 given; those of each held-out session are given up to the last.

    Raises:
        DataError: the id of a beginning is that of a session.
    """
    users = rows.users.codes
    lasts = np.flatnonzero((labels == VALID) | (labels == TEST))
    n_sessions = len(rows.users.names)
    first_U = np.searchsorted(users, np.arange(n_sessions))
    # Of n items, the ones at the places 1 to n - 2, from 0, end a beginning.
    n_beginnings_S = lasts - first_U[users[lasts]] - 1
    session_B = np.repeat(np.arange(len(lasts)), n_beginnings_S)
    place_B = 1 + np.arange(len(session_B)) - np.repeat(np.cumsum(n_beginnings_S) - n_beginnings_S, n_beginnings_S)
    user_B = users[lasts][session_B]
    lengths_B = place_B + 1
    ends_B = np.cumsum(lengths_B)
    index = np.arange(int(lengths_B.sum())) + np.repeat(first_U[user_B] - (ends_B - lengths_B), lengths_B)
    more = np.full(len(index), GIVEN, dtype=np.int8)
    more[ends_B - 1] = labels[lasts][session_B]
    added = rows.take(np.concatenate([np.arange(len(rows)), index]))
    codes = np.concatenate([users, np.repeat(n_sessions + np.arange(len(user_B)), lengths_B)])
    of_beginnings = _joined(rows.users.names[user_B], "@", lengths_B)
    names = np.concatenate([rows.users.names.astype(np.str_), of_beginnings]) if len(user_B) else rows.users.names
    found, order, old = _with_users(added, codes, names)
    n_targets = len(lasts) + len(user_B)
    note = f"{n_targets:,} items of {len(lasts):,} held-out sessions are to be found, each as one of a user of its own"
    labels = np.concatenate([labels, more])
    return Positions(found, labels if order is None else labels[order], old >= n_sessions, note)


def _joined(names: np.ndarray, sign: str, numbers: np.ndarray) -> np.ndarray:
    """Return ids such as `7:2` of names (n,) and numbers (n,)."""
    return np.char.add(np.char.add(names.astype(np.str_), sign), numbers.astype(np.str_))


def _with_users(rows: Rows, codes: np.ndarray, names: np.ndarray) -> tuple[Rows, np.ndarray | None, np.ndarray]:
    """Return rows with other users, ordered by them; the order (N,) or None; and the old code of each user (U,).

    Args:
        rows: ordered by time within each of the new users.
        codes: the new user of each row (N,).
        names: the ids of the new users (U,), in any order.

    Raises:
        DataError: two of them have the same id.
    """
    old = np.argsort(names, kind="stable")
    ordered = names[old]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(same):
        raise DataError(
            f"the id {ordered[same[0]]} is needed for the beginning of a session; rename the user of this id"
        )
    new = np.empty(len(old), dtype=np.int32)
    new[old] = np.arange(len(old), dtype=np.int32)
    made = Rows(Ids(new[codes], ordered), rows.items, rows.columns, rows.labels)
    order = stable_order(made.users.codes)
    return (made if order is None else made.take(order)), order, old
