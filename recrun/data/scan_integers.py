"""Reading lines of integers that training refuses: every fault with its line, and the table of all other lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from recrun.data.faults import Faults, shown
from recrun.data.formats.base import Ids, Table
from recrun.data.formats.integers import parse_lines
from recrun.data.interactions import TIMESTAMP
from recrun.data.sniff import Sniffed
from recrun.data.textlines import count_blank, lines_of

_INTEGERS: Final = r"^\s*[0-9]{1,18}(?:\s+[0-9]{1,18})*\s*$"
_BLANK: Final = r"^\s*$"


def scan_integers(sniffed: Sniffed, faults: Faults) -> Table | None:
    """Collect the faults of lines `user item item ...`, and return the table of the others; None when none are left."""
    import polars as pl

    users, items, lengths, numbers = [], [], [], []
    for first, lines in lines_of(sniffed, faults):
        count_blank(first, lines, faults)
        series = pl.Series(lines, dtype=pl.String)
        is_good = (series.str.contains(_INTEGERS) | series.str.contains(_BLANK)).to_numpy()
        for place in np.flatnonzero(~is_good).tolist():
            _judge_integers(first + place, lines[place], faults)
        good = [line if fine else "" for line, fine in zip(lines, is_good, strict=True)]
        block = parse_lines("\n".join([*good, ""]).encode(), sniffed.path)
        users.append(block[0])
        items.append(block[1])
        lengths.append(block[2])
        numbers.append(first + np.arange(len(lines)))
    if not any(len(block) for block in items):
        return None
    per_line, line_numbers = np.concatenate(lengths), np.concatenate(numbers)
    ends = np.cumsum(per_line)
    table = Table(
        sniffed.path,
        Ids.of_integers(np.concatenate(users)),
        Ids.of_integers(np.concatenate(items)),
        line_of=lambda row: int(line_numbers[np.searchsorted(ends, row, side="right")]),
    )
    if sniffed.format == "sequences":
        filled = per_line[per_line > 0]
        starts = np.cumsum(filled) - filled
        _judge_second_lines(table, starts, faults)
        table.columns[TIMESTAMP] = np.arange(len(table)) - np.repeat(starts, filled)
        table = replace(table, time_is_order=True)
    return table


def _judge_integers(line: int, text: str, faults: Faults) -> None:
    for token in text.split():
        if token.isascii() and token.isdecimal():
            if len(token) > 18:
                faults.at("long-id", line, f"expected at most 18 digits, found {shown(token, 40)}")
                return
        elif token[:1] == "-" and token[1:].isdecimal():
            faults.at("negative-id", line, f"expected an id >= 0, found {shown(token, 40)}")
            return
        else:
            faults.at("not-an-integer", line, f"expected integers with blanks between, found {shown(token, 40)}")
            return
    faults.at("not-an-integer", line, f"expected integers with blanks between, found {shown(text)}")


def _judge_second_lines(table: Table, starts: np.ndarray, faults: Faults) -> None:
    """Name the lines whose user had one before; `starts` are the rows at which lines start."""
    users = table.users.codes[starts]
    _, first = np.unique(users, return_index=True)
    again = starts[np.setdiff1d(np.arange(len(starts)), first)]
    named = ((table.line_of(row), table.users.names[table.users.codes[row]]) for row in again.tolist())
    faults.among("second-line", len(again), ((line, f"user {user} had a line before") for line, user in named))
