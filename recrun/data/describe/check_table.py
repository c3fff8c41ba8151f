"""Name what is surprising about a table that was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from recrun.data import filters
from recrun.data.describe.problems import Faults
from recrun.data.formats.table import Ids, Table, shown
from recrun.data.formats.values.numbers import is_number
from recrun.data.formats.values.times import suspicions
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER

_INT64: Final = 2**63
_MANY: Final = 10
"""With so many users, it is no accident that each has one interaction."""


def examine_table(table: Table, faults: Faults) -> None:
    """Name repeated interactions, doubtful ids, ratings and times of a table, with their lines."""
    _examine_repeats(table, faults)
    for role, ids in ((USER, table.users), (ITEM, table.items)):
        if not ids.are_integers:
            _examine_text_ids(role, ids, table, faults)
    if RATING in table.columns:
        rows = np.flatnonzero(table.columns[RATING] <= 0).tolist()
        found = ((table.line_of(row), f"the rating is {table.columns[RATING][row]:g}") for row in rows)
        faults.among("ratings", len(rows), found)
    if TIMESTAMP in table.columns and not table.time_is_order:
        _examine_times(table, faults)


def _examine_repeats(table: Table, faults: Faults) -> None:
    users, items = table.users.codes, table.items.codes
    if filters.has_repeats(users, items):
        is_first = filters.without_repeats(users, items, "first")
        rows = np.flatnonzero(~is_first).tolist()
        found = ((table.line_of(row), f"user {_user(table, row)} and item {_item(table, row)} again") for row in rows)
        faults.among("duplicates", len(rows), found)
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    if len(users) == len(table.users.names) >= _MANY:
        faults.add("single")
    n_apart = int((np.bincount(users[starts], minlength=1) > 1).sum())
    if n_apart:
        faults.add("unsorted", count=n_apart)


def _examine_text_ids(role: str, ids: Ids, table: Table, faults: Faults) -> None:
    names: Sequence[str] = ids.names.tolist()
    codes = getattr(table, f"{role}s").codes
    first_row = np.zeros(len(names), dtype=np.int64)
    first_row[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)

    def say(kind: str, chosen: Sequence[int], message: str) -> None:
        rows = sorted((int(first_row[code]), code) for code in chosen)
        found = ((table.line_of(row), f"the {role} {shown(names[code], 40)} {message}") for row, code in rows)
        faults.among(kind, len(rows), found)

    are_numbers = [is_number(name) for name in names]
    n_numbers = sum(are_numbers)
    if n_numbers == len(names):
        huge = [code for code, name in enumerate(names) if name.isdecimal() and int(name) >= _INT64]
        odd = [code for code, name in enumerate(names) if not name.isdecimal() or name[:1] == "0" != name]
        say("huge-ids", huge, "is beyond 64 bits")
        say("number-ids", odd, "is not written as a plain integer")
    elif n_numbers > 0:
        is_odd = n_numbers <= len(names) // 2
        odd = [code for code, is_number in enumerate(are_numbers) if is_number == is_odd]
        say("mixed-ids", odd, "is a number, unlike most" if is_odd else "is not a number, unlike most")
    say("blank-ids", [code for code, name in enumerate(names) if name != name.strip()], "has blanks around it")


def _examine_times(table: Table, faults: Faults) -> None:
    times = table.columns[TIMESTAMP]
    for suspicion in suspicions(times, are_dates=table.time_is_date):
        if not len(suspicion.rows):
            faults.add(suspicion.kind, suspicion.message)
            continue
        at = ((table.line_of(row), f"the time is {times[row]:.15g}") for row in suspicion.rows.tolist())
        faults.among(suspicion.kind, len(suspicion.rows), at)
    n_ties = _count_ties(table.users, times)
    if n_ties:
        faults.add("time-ties", count=n_ties)


def _count_ties(users: Ids, times: np.ndarray) -> int:
    """Return how many users have several interactions at their latest time."""
    latest = np.full(len(users.names), times.min(), dtype=times.dtype)
    np.maximum.at(latest, users.codes, times)
    at_latest = np.bincount(users.codes[times == latest[users.codes]], minlength=len(users.names))
    return int((at_latest > 1).sum())


def _user(table: Table, row: int) -> str:
    return str(table.users.names[table.users.codes[row]])


def _item(table: Table, row: int) -> str:
    return str(table.items.names[table.items.codes[row]])
