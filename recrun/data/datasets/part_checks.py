"""Refuse parts that share interactions, and note users and items that train lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from recrun.data import filters
from recrun.data.formats.table import Ids, Table
from recrun.data.interactions import Interactions
from recrun.errors import DataError, RowFault

_MANY = 10
"""With so many ids in a part, it is no accident that none of them occurs in train."""
_NEARLY_ALL = 0.95
_BY_ROWS = ("ratio", "user_time", "leave_one_out", "leave_k", "k_fold")
"""Splits that hold out rows of each user; those by time or of whole items may well hold out new items."""


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
    parts: Mapping[str, Interactions], n_users: int, n_items: int, tables: Mapping[str, Table], split: str
) -> list[str]:
    """Return notes on users and items that are held out although train lacks them.

    Args:
        parts: "train", "valid" and "test".
        n_users: U.
        n_items: I.
        tables: the parts that were given rather than split off, or the whole.
        split: what made the parts; "given" for none.

    Raises:
        DataError: a given part has many of them, and train lacks every one; or train lacks nearly all items that a
            split by rows holds out, so that they are no items.
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
            if what == "items" and split in _BY_ROWS and n_unknown >= max(_NEARLY_ALL * n_held_out, _MANY):
                message = f"train lacks {n_unknown} of the {n_held_out} items held out by split={split}, so that "
                message += "nothing can be learned of them; does item_column hold items, each in several rows?"
                raise DataError(message, path=next(iter(tables.values())).path, kind="other-ids")
            if n_unknown:
                share = f"{n_unknown} of {n_held_out} {what} in {part}"
                notes.append(f"{share} have no interaction in train; they are kept")
    return notes
