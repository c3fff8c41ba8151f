"""Parse lines of integers, `user item item ...`, in whole blocks of bytes at once.

T tokens (integers) and L lines of a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from recrun.data.formats.file_kinds import refuse_other_kinds
from recrun.data.formats.opening import open_binary
from recrun.data.formats.table import Ids, Layout, Table, data_error, rows_error, shown
from recrun.data.interactions import TIMESTAMP
from recrun.errors import DataError, RowFault
from recrun.registry import FORMATS

BLOCK = 1 << 18
"""Bytes parsed together; the arrays made of them take some twenty times as much."""
_BOM = b"\xef\xbb\xbf"
_MAX_DIGITS = 18
_SPACES = (9, 11, 12, 13, 32)


@FORMATS.register("lightgcn", times="none", rated=False, without=("text", "encoding", "rows", "columns"))
def read_lightgcn(path: Path, layout: Layout) -> Table:
    """Read `user item item ...` lines of integers (the files of NGCF and LightGCN); a user may have several lines."""
    return _read(path)[0]


@FORMATS.register("sequences", times="order", rated=False, without=("text", "encoding", "rows", "columns"))
def read_sequences(path: Path, layout: Layout) -> Table:
    """Read `user item item ...` lines of integers whose items stand in the order of time; one line a user."""
    table, lengths = _read(path)
    filled = lengths[lengths > 0]
    starts = np.cumsum(filled) - filled
    if len(filled) != len(table.users.names):
        raise _second_line(table, starts)
    table.columns[TIMESTAMP] = np.arange(len(table), dtype=np.int64) - np.repeat(starts, filled)
    return replace(table, time_is_order=True)


def _second_line(table: Table, starts: np.ndarray) -> DataError:
    """Return the error that names the lines whose user had one before; `starts` are the lines' first rows."""
    _, first = np.unique(table.users.codes[starts], return_index=True)

    def message_of(row: int) -> str:
        user = table.users.names[table.users.codes[row]]
        return f"user {user} has a second line; the history of a user must stand in one line"

    rows = starts[np.setdiff1d(np.arange(len(starts)), first)]
    return rows_error(table.path, "second-line", rows, table.line_of, message_of)


def _read(path: Path) -> tuple[Table, np.ndarray]:
    """Return the table of a file, and how many items each of its lines holds."""
    refuse_other_kinds(path)
    users, items, lengths, is_blank = [], [], [], []
    with open_binary(path) as stream:
        for first_line, block in line_blocks(stream):
            block_users, block_items, n_tokens = parse_lines(block, path, first_line)
            users.append(_narrow(block_users))
            items.append(_narrow(block_items))
            lengths.append(np.maximum(n_tokens - 1, 0))
            is_blank.append(n_tokens == 0)
    per_line = np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64)
    ends = np.cumsum(per_line)
    if not len(ends) or not ends[-1]:
        message = "holds no interactions; expected lines `user item item ...` of integers"
        raise data_error(path, None, message, kind="empty")
    table = Table(
        path,
        Ids.of_integers(np.concatenate(users)),
        Ids.of_integers(np.concatenate(items)),
        line_of=lambda row: int(np.searchsorted(ends, row, side="right")) + 1,
        skipped=_skipped(per_line, np.concatenate(is_blank)),
    )
    return table, per_line


def _skipped(per_line: np.ndarray, is_blank: np.ndarray) -> dict[str, np.ndarray]:
    """Return the numbers of the lines without items: blank ones, and those of a user alone."""
    lines = {"blank-lines": is_blank, "no-items": (per_line == 0) & ~is_blank}
    return {kind: np.flatnonzero(chosen) + 1 for kind, chosen in lines.items() if chosen.any()}


def _narrow(values: np.ndarray) -> np.ndarray:
    """Return the integers in half the memory, where they fit."""
    return values.astype(np.int32) if int(values.max(initial=0)) < 2**31 else values


def line_blocks(stream: BinaryIO, size: int = BLOCK) -> Iterator[tuple[int, bytes]]:
    """Yield (1-based number of its first line, bytes) of blocks that end where a line ends."""
    line, rest = 1, b""
    while block := stream.read(size):
        if line == 1 and not rest and block.startswith(_BOM):
            block = block[len(_BOM) :]
        end = block.rfind(b"\n") + 1
        if not end:
            rest, size = rest + block, 2 * size
            continue
        whole = rest + block[:end]
        yield line, whole
        line += whole.count(b"\n")
        rest = block[end:]
    if rest:
        yield line, rest


def parse_lines(text: bytes, path: Path, first_line: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse whole lines of `user item item ...`.

    Args:
        text: the lines; the last may lack its newline.
        path: the file, for messages.
        first_line: the number of the first line, for messages.

    Returns:
        users int64 (N,), items int64 (N,), and the number of integers in each line, int64 (L,).

    Raises:
        DataError: something that is not an integer >= 0 of at most 18 digits.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    digits = characters - np.uint8(48)
    is_digit = digits < 10
    is_newline = characters == 10
    others = characters[~(is_digit | is_newline)]
    if len(others) and np.setdiff1d(np.flatnonzero(np.bincount(others)), _SPACES).size:
        raise _explain(text, path, first_line)
    if text.count(b"\r") > text.count(b"\r\n") + text.endswith(b"\r"):
        raise _explain(text, path, first_line)
    edges = np.flatnonzero(np.diff(is_digit, prepend=False, append=False))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if len(lengths) and int(lengths.max()) > _MAX_DIGITS:
        raise _explain(text, path, first_line)
    line_ends = np.flatnonzero(is_newline)
    if len(text) and text[-1] != 10:
        line_ends = np.append(line_ends, len(text))
    tokens_before = np.searchsorted(starts, line_ends)
    n_tokens = np.diff(tokens_before, prepend=0)
    values = _values(digits, starts, lengths)
    filled = n_tokens > 0
    is_user = np.zeros(len(values), dtype=bool)
    is_user[(tokens_before - n_tokens)[filled]] = True
    return np.repeat(values[is_user], n_tokens[filled] - 1), values[~is_user], n_tokens


def _values(digits: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the integers (T,) whose digits stand at `starts`, place by place for all tokens that reach so far."""
    values: np.ndarray = digits[starts].astype(np.int64)
    for place in range(1, int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        values[longer] = values[longer] * 10 + digits[starts[longer] + place]
    return values


def _explain(text: bytes, path: Path, first_line: int) -> DataError:
    """Return the error that names the first token that is no plain integer, and finds all such lines of the file."""
    first = next(_bad_lines(text, first_line), None)
    assert first is not None, "the parser refused a line in which every token is an integer"

    def find() -> Iterator[RowFault]:
        with open_binary(path) as stream:
            for line, block in line_blocks(stream):
                yield from _bad_lines(block, line)

    return DataError(first.message, path=path, line=first.line, kind=first.kind, rows=find)


def _bad_lines(text: bytes, first_line: int) -> Iterator[RowFault]:
    for number, line in enumerate(text.split(b"\n"), start=first_line):
        if b"\r" in line.removesuffix(b"\r"):
            found = shown(line.decode("utf-8", errors="replace"))
            message = f"a carriage return within a line; lines must end with a newline: {found}"
            yield RowFault("old-line-ends", number, message)
            continue
        bad = (token for token in line.split() if not token.isdigit() or len(token) > _MAX_DIGITS)
        token = next(bad, None)
        if token is not None:
            kind, message = _complaint(token.decode("utf-8", errors="replace"))
            yield RowFault(kind, number, message)


def _complaint(token: str) -> tuple[str, str]:
    found = shown(token, 40)
    if token.lstrip("-").isdecimal() and token.startswith("-"):
        return "negative-id", f"expected ids >= 0, found {found}"
    if token.isdecimal():
        return "long-id", f"expected ids of at most {_MAX_DIGITS} digits, found {found}"
    hint = next((f"; is the file separated by {mark!r} (format: csv)?" for mark in ",;|:" if mark in token), "")
    return "not-an-integer", f"expected integers `user item item ...` with spaces between, found {found}{hint}"
