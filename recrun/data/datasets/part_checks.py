"""Refuse parts that share interactions, and note users and items that train lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from recrun.data import filters
from recrun.data.formats.table import Ids, Table
from recrun.data.interactions import TIMESTAMP, Interactions
from recrun.data.postprocessing.mode import Mode
from recrun.errors import DataError, RowFault

_MANY = 10
"""With so many ids in a part, it is no accident that none of them occurs in train."""


def refuse_overlap(tables: Mapping[str, Table], users: Ids, items: Ids, labels: np.ndarray) -> None:
    """Refuse an interaction that two parts have.

    Args:
        tables: the parts, in the order of the rows.
        users: of the rows of all parts, one after the other (N,).
        items: of the same rows.
        labels: the part of each row (N,).

    Raises:
        DataError: there is one; the message names both lines of the first.
    """
    if not filters.has_repeats(users.codes, items.codes):
        return
    keys = filters.pair_keys(users.codes, items.codes)
    order = np.argsort(keys, kind="stable")
    again = keys[order[1:]] == keys[order[:-1]]
    again &= labels[order[1:]] != labels[order[:-1]]
    if not again.any():
        return
    later, earlier = order[1:][again], order[:-1][again]
    in_order = np.argsort(later)
    starts = np.cumsum([0, *map(len, tables.values())])
    given = list(tables.values())

    def origin(row: int) -> tuple[Table, int]:
        place = int(np.searchsorted(starts, row, side="right")) - 1
        return given[place], given[place].line_of(row - int(starts[place]))

    def find(part: Table) -> Iterator[RowFault]:
        for row, other_row in zip(later[in_order].tolist(), earlier[in_order].tolist(), strict=True):
            (table, line), (other, other_line) = origin(row), origin(other_row)
            pair = f"user {users.names[users.codes[row]]} and item {items.names[items.codes[row]]}"
            if table is part:
                yield RowFault("overlap", line, f"{pair} are in {other.path}:{other_line} too")

    part, line = origin(int(later.min()))
    message = f"{next(find(part)).message}; train, valid and test must not overlap ({len(later)} such pairs)"
    raise DataError(message, path=part.path, line=line, kind="overlap", rows=partial(find, part))


def unknown_in_train(
    parts: Mapping[str, Interactions], n_users: int, n_items: int, tables: Mapping[str, Table]
) -> list[str]:
    """Return notes on users and items that are held out although train lacks them.

    Args:
        parts: "train", "valid" and "test".
        n_users: U.
        n_items: I.
        tables: the parts that were given rather than split off.

    Raises:
        DataError: a given part has many of them, and train lacks every one.
    """
    notes = []
    for part in ("valid", "test"):
        for what, n_ids in (("users", n_users), ("items", n_items)):
            known, held_out = (np.bincount(getattr(parts[name], what), minlength=n_ids) > 0 for name in ("train", part))
            n_held_out, n_unknown = int(held_out.sum()), int((held_out & ~known).sum())
            if part in tables and n_unknown == n_held_out >= _MANY:
                message = (
                    f"none of its {n_held_out} {what} occurs in {tables['train'].path}; are their ids of one kind?"
                )
                raise DataError(message, path=tables[part].path, kind="other-ids")
            if n_unknown:
                share = f"{n_unknown} of {n_held_out} {what} in {part}"
                notes.append(f"{share} have no interaction in train; they are kept")
    return notes


def refuse_torn_histories(part_of: Callable[[Mode], Interactions], n_users: int) -> None:
    """Refuse parts in which a user's interactions of an earlier part are later than those of a held-out one.

    A model of sequences that is tested on the held-out ones would have read items from after them.

    Args:
        part_of: returns a part, with its rows by user, then by time.
        n_users: U.

    Raises:
        DataError: there is a user whose test (or valid) interaction comes before one that is read.
    """
    latest_U: np.ndarray | None = None
    parts: tuple[Mode, ...] = ("train", "valid", "test")
    for part in parts:
        rows = part_of(part)
        if TIMESTAMP not in rows.columns or not len(rows):
            continue
        times, is_first = rows.columns[TIMESTAMP], np.diff(rows.users, prepend=-1) != 0
        if latest_U is None:
            latest_U = np.full(n_users, np.iinfo(times.dtype).min if times.dtype.kind == "i" else -np.inf, times.dtype)
        held_out = rows.users[is_first]
        n_torn = int((times[is_first] < latest_U[held_out]).sum())
        if part != "train" and n_torn:
            raise DataError(
                f"{n_torn} of {len(held_out)} users in {part} have interactions in an earlier part that are later than "
                f"one of theirs in {part}, so a model that reads histories would read items from after the held-out "
                f"ones; hold out the latest interactions (split=leave_one_out, user_time or time), or set "
                f"shuffled_time to true"
            )
        is_last = np.roll(is_first, -1)
        latest_U[held_out] = np.maximum(latest_U[held_out], times[is_last])
