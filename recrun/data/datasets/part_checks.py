"""Refuse parts that share interactions or do not fit together, and note users and items that train lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from recrun.data import filters, splits
from recrun.data.formats.table import Ids, Table, rows_error
from recrun.data.formats.values.ids import alike
from recrun.data.formats.values.times import calendar_kind, find_unit
from recrun.data.interactions import ITEM, TIMESTAMP, USER, Interactions
from recrun.data.large.pieces import occurrences
from recrun.errors import DataError, RowFault

_MANY = 10
"""With so many ids in a part, it is no accident that none of them occurs in train."""
_NEARLY_ALL = 0.95
_BY_ROWS = ("ratio", "user_time", "leave_one_out", "leave_k", "k_fold")
"""Splits that hold out rows of each user; those by time or of whole items may well hold out new items."""
_WITHOUT_TIMES = "time_column= reads all files without times"


def refuse_unlike(tables: Sequence[Table], users: Ids, items: Ids) -> None:
    """Refuse tables of one data set whose times or ids do not compare.

    Args:
        tables: the parts of a data set, or the pieces of a part.
        users: of the rows of all tables, one after the other (N,).
        items: of the same rows.

    Raises:
        DataError: some have times and some have none; times are of several kinds; an id of one table differs from one
            of another only in how it is written.
    """
    if len(tables) > 1:
        _refuse_unlike_times(tables)
        for role, ids in ((USER, users), (ITEM, items)):
            if not ids.are_integers:
                _refuse_like_ids(role, tables, ids)


def one_after_the_other(positions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return positions among a user's interactions that begin anew in each part as ones that go on.

    Args:
        positions: of the rows of all parts, from 0 in each (N,).
        labels: the part of each row (N,); train comes before valid, and valid before test.
    """
    last = [int(positions[labels == label].max(initial=-1)) for label in range(len(splits.PARTS))]
    shifts = np.cumsum([0, *(end + 1 for end in last[:-1])])
    shifted: np.ndarray = positions + shifts[labels]
    return shifted


def _refuse_unlike_times(tables: Sequence[Table]) -> None:
    kinds = [_kind_of_times(table) if TIMESTAMP in table.columns else None for table in tables]
    first, known = tables[0], kinds[0]
    for other, kind in zip(tables[1:], kinds[1:], strict=True):
        if (kind is None) != (known is None):
            without, having = (first, other) if known is None else (other, first)
            message = f"has no times, and {having.path} has; name their column with time_column, or {_WITHOUT_TIMES}"
            raise DataError(message, path=without.path, kind="unlike-parts")
        if kind is not None and known is not None and kind != known and not _may_compare(first, other):
            told, expected = (
                name if table.time_is_date else f"{name} (such as {table.columns[TIMESTAMP][0]:.15g})"
                for name, table in ((kind, other), (known, first))
            )
            message = f"its times are {told}, and those of {first.path} are {expected}; write both alike"
            raise DataError(f"{message}, or {_WITHOUT_TIMES}", path=other.path, kind="unlike-parts")


def _kind_of_times(table: Table) -> str:
    if table.time_is_order:
        return "positions among a user's interactions"
    if table.time_is_date:
        return f"dates {'with' if table.time_has_zone else 'without'} a time zone"
    times = table.columns[TIMESTAMP]
    unit = find_unit(times)
    return f"{unit} since 1970" if unit else calendar_kind(times) or "numbers that are no times since 1970"


def unit_of_times(table: Table) -> str | None:
    """Return the unit of times since 1970; None when they are no such times."""
    return "seconds" if table.time_is_date else find_unit(table.columns[TIMESTAMP])


def _may_compare(first: Table, other: Table) -> bool:
    """Return whether times of two kinds compare: dates and seconds, or two columns that only count."""
    if first.time_is_order or other.time_is_order or (first.time_is_date and other.time_is_date):
        return False
    units = [unit_of_times(table) for table in (first, other)]
    if units[0] is None and units[1] is None:
        return not all(calendar_kind(table.columns[TIMESTAMP]) for table in (first, other))
    return units[0] == units[1]


def _refuse_like_ids(role: str, tables: Sequence[Table], ids: Ids) -> None:
    import polars as pl

    found = alike(pl.Series(ids.names.tolist(), dtype=pl.String))
    if not found:
        return
    starts = np.cumsum([0, *map(len, tables)])
    at_fault = np.isin(ids.codes, list(found))
    place = int(np.searchsorted(starts, int(at_fault.argmax()), side="right")) - 1
    table, start = tables[place], int(starts[place])

    def message_of(row: int) -> str:
        code = int(ids.codes[start + row])
        other, difference = found[code]
        other_row = int((ids.codes == other).argmax())
        origin = int(np.searchsorted(starts, other_row, side="right")) - 1
        where = ":".join(map(str, tables[origin].where(other_row - int(starts[origin]))))
        told = f"the {role} is {str(ids.names[code])!r}, which differs from {str(ids.names[other])!r} ({where})"
        return f"{told} only by {difference}; write both alike"

    rows = np.flatnonzero(at_fault[start : start + len(table)])
    path = table.where(int(rows[0]))[0]
    rows = np.array([row for row in rows.tolist() if table.where(row)[0] == path])
    raise rows_error(path, "like-ids", rows, table.line_of, message_of)


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

    def origin(row: int) -> tuple[Table, Path, int]:
        place = int(np.searchsorted(starts, row, side="right")) - 1
        return given[place], *given[place].where(row - int(starts[place]))

    def find(part: Table) -> Iterator[RowFault]:
        for row, other_row in zip(later[in_order].tolist(), earlier[in_order].tolist(), strict=True):
            (table, _, line), (_, other, other_line) = origin(row), origin(other_row)
            pair = f"user {users.names[users.codes[row]]} and item {items.names[items.codes[row]]}"
            if table is part:
                yield RowFault("overlap", line, f"{pair} are in {other}:{other_line} too")

    part, path, line = origin(int(later.min()))
    message = f"{next(find(part)).message}; train, valid and test must not overlap ({len(later)} such pairs)"
    raise DataError(message, path=path, line=line, kind="overlap", rows=partial(find, part))


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
            known, held_out = (occurrences(getattr(parts[name], what), n_ids) > 0 for name in ("train", part))
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
                share = f"{n_unknown:,} of {n_held_out:,} {what} in {part}"
                notes.append(f"{share} have no interaction in train; they are kept")
    return notes


def too_few_given(parts: Mapping[str, Interactions], n_users: int) -> list[str]:
    """Return notes on held-out users of whom something is given, but nothing is left to be found.

    Args:
        parts: "train", "valid", "test" and "given".
        n_users: U.
    """
    given, valid, test = (occurrences(parts[name].users, n_users) for name in ("given", "valid", "test"))
    n_held_out, n_without = int((given > 0).sum()), int(((given > 0) & (valid + test == 0)).sum())
    told = f"{n_without:,} of {n_held_out:,} held-out users have too few interactions to hold any of them out"
    return [f"{told}; they are not tested on"] if n_without else []


def refuse_torn_histories(parts: Mapping[str, Interactions], n_users: int) -> None:
    """Refuse parts in which a user's interactions of an earlier part are later than those of a held-out one.

    A model of sequences that is tested on the held-out ones would have read items from after them.

    Args:
        parts: "train", "valid" and "test", and maybe "given", each with its rows by user, then by time.
        n_users: U.

    Raises:
        DataError: there is a user whose test (or valid) interaction comes before one that is read.
    """
    latest_U: np.ndarray | None = None
    for part in ("train", splits.GIVEN_PART, "valid", "test"):
        rows = parts.get(part)
        if rows is None or TIMESTAMP not in rows.columns or not len(rows):
            continue
        times, is_first = rows.columns[TIMESTAMP], np.diff(rows.users, prepend=-1) != 0
        if latest_U is None:
            latest_U = np.full(n_users, np.iinfo(times.dtype).min if times.dtype.kind == "i" else -np.inf, times.dtype)
        held_out = rows.users[is_first]
        n_torn = int((times[is_first] < latest_U[held_out]).sum())
        if part != "train" and n_torn:
            raise DataError(
                f"{n_torn:,} of {len(held_out):,} users in {part} have interactions in an earlier part that are later "
                f"than one of theirs in {part}, so a model that reads histories would read items from after the "
                f"held-out ones; hold out the latest interactions (split=leave_one_out, user_time or time, or "
                f"fold_in_by=time), or set shuffled_time to true"
            )
        is_last = np.roll(is_first, -1)
        latest_U[held_out] = np.maximum(latest_U[held_out], times[is_last])
