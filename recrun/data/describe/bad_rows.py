"""Read a file that training refuses: every fault with its line, and the table of the rows without one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.describe.layout import Sniffed
from recrun.data.describe.problems import Faults, shown
from recrun.data.describe.text_lines import count_blank, lines_of
from recrun.data.formats.find_bad_row import STAND_IN
from recrun.data.formats.from_frame import MISSING_WORDS, frame_to_table, wrong_types
from recrun.data.formats.integer_lines import parse_lines
from recrun.data.formats.table import MAX_ID_LENGTH, Ids, Table
from recrun.data.formats.times import suspicions
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER, WEIGHT
from recrun.data.splits.rules import rank_within_user
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl


_ROWS: Final = 1 << 16
_LINE: Final = "_line"
_IS_DATE: Final = "_is_date"
_DATES: Final = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
)


def scan(sniffed: Sniffed, faults: Faults) -> Table | None:
    """Collect the faults of a file's rows, and return the table of the others; None when none are left.

    Args:
        sniffed: the file and its layout.
        faults: takes the faults.

    Raises:
        DataError: the file cannot be read to its end.
    """
    if sniffed.format in ("lightgcn", "sequences"):
        return scan_integers(sniffed, faults)
    if USER not in sniffed.roles or ITEM not in sniffed.roles:
        return None
    import polars as pl

    frames = list(_parquet(sniffed, faults) if sniffed.format == "parquet" else _delimited(sniffed, faults))
    frame = pl.concat(frames) if frames else None
    if frame is None or not frame.height:
        return None
    return _finish(sniffed, _without_bad_times(_without_bad_ids(frame, faults), faults), faults)


def _delimited(sniffed: Sniffed, faults: Faults) -> Iterator[pl.DataFrame]:
    """Yield frames of the rows that are well formed: their line and the text of each role."""
    import polars as pl

    n_columns = len(sniffed.names)
    for numbers, rows in _rows(sniffed, faults):
        fields = pl.Series(rows, dtype=pl.List(pl.String))
        lengths = fields.list.len().to_numpy()
        ragged = np.flatnonzero(lengths != n_columns).tolist()
        cells = ((place, (sniffed.separator or " ").join(rows[place])) for place in ragged)
        expected = f"expected {n_columns} columns, found"
        faults.among(
            "ragged",
            len(ragged),
            ((int(numbers[place]), f"{expected} {lengths[place]}: {shown(row)}") for place, row in cells),
        )
        is_whole = lengths == n_columns
        whole = fields.filter(pl.Series(is_whole))
        columns = {role: whole.list.get(place) for role, place in sniffed.roles.items()}
        yield _judge(pl.DataFrame({_LINE: numbers[is_whole], **columns}), sniffed, faults)


def _rows(sniffed: Sniffed, faults: Faults) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
    """Yield (line numbers, fields) of chunks of rows, without the line of names and blank lines."""
    separator = sniffed.separator or ","
    head = sniffed.survey.head if sniffed.survey else b""
    if sniffed.is_quoted and b'"' in head:
        yield from _quoted_rows(sniffed, separator, faults)
        return
    for first, lines in lines_of(sniffed, faults):
        rows = [
            (first + place, line.split(separator))
            for place, line in enumerate(lines)
            if line.strip() and not (sniffed.has_header and first + place == 1)
        ]
        count_blank(first, lines, faults)
        if rows:
            yield np.array([number for number, _ in rows]), [fields for _, fields in rows]


def _quoted_rows(sniffed: Sniffed, separator: str, faults: Faults) -> Iterator[tuple[np.ndarray, list[list[str]]]]:
    def lines() -> Iterator[str]:
        for first, chunk in lines_of(sniffed, faults):
            count_blank(first, chunk, faults)
            for line in chunk:
                yield (line if len(separator) == 1 else line.replace(separator, STAND_IN)) + "\n"

    reader = csv.reader(lines(), delimiter=separator if len(separator) == 1 else STAND_IN, strict=False)

    def rows() -> Iterator[tuple[int, list[str]]]:
        before = 0
        for row in reader:
            if any(row) and not (sniffed.has_header and before == 0):
                yield before + 1, row
            if reader.line_num > before + 1 and row[-1].endswith("\n"):
                faults.at("quotes", before + 1, "a quote that begins here is not closed")
            before = reader.line_num

    numbered = rows()
    try:
        while chunk := list(islice(numbered, _ROWS)):
            yield np.array([number for number, _ in chunk]), [row for _, row in chunk]
    except csv.Error as error:
        faults.at("ragged", reader.line_num, f"cannot be split into columns ({error})")


def _parquet(sniffed: Sniffed, faults: Faults) -> Iterator[pl.DataFrame]:
    import polars as pl

    names = [sniffed.names[place] for place in sniffed.roles.values()]
    frame = pl.read_parquet(sniffed.path, columns=names).rename(dict(zip(names, sniffed.roles, strict=True)))
    strange = wrong_types(frame.filter(~pl.all_horizontal(pl.all().is_null())))
    if strange:
        faults.add("column", strange)
        return
    texts = frame.with_columns(pl.all().cast(pl.String).fill_null("")).with_row_index(_LINE, offset=1)
    yield _judge(texts.with_columns(pl.col(_LINE).cast(pl.Int64)), sniffed, faults)


def _judge(frame: pl.DataFrame, sniffed: Sniffed, faults: Faults) -> pl.DataFrame:
    """Return the rows whose values can be used, with ratings and times as numbers; name the others.

    Args:
        frame: the line of each row, and the text of each role.
    """
    import polars as pl

    good = np.ones(frame.height, dtype=bool)
    lines = frame[_LINE].to_numpy()

    def say(kind: str, bad: pl.Series, role: str, expected: str) -> None:
        column = sniffed.names[sniffed.roles[role]]
        rows = np.flatnonzero(bad.to_numpy() & good)
        found = ((int(lines[row]), shown(str(frame[role][row]))) for row in rows.tolist())
        told = f"{expected} as {role} (column {column}), found"
        faults.among(kind, len(rows), ((line, f"{told} {value}") for line, value in found))
        good[rows] = False

    for role in sniffed.roles:
        text = frame[role].str.strip_chars()
        say("missing-value", text == "", role, "expected a value")
        if role in (USER, ITEM):
            continue
        numbers = text.cast(pl.Float64, strict=False)
        if role == TIMESTAMP:
            frame = frame.with_columns(numbers.is_null().alias(_IS_DATE))
            numbers = numbers.fill_null(_seconds(text))
        say("not-a-number", ~numbers.is_finite().fill_null(False), role, "expected a number")
        frame = frame.with_columns(numbers.alias(role))
    return frame.filter(pl.Series(good))


def _seconds(text: pl.Series) -> pl.Series:
    """Return the seconds since 1970 of dates; null for what is none."""
    import polars as pl

    parsed = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    for form in _DATES:
        if not parsed.null_count():
            break
        parsed = parsed.fill_null(text.str.to_datetime(form, strict=False, time_unit="us"))
    seconds: pl.Series = parsed.dt.epoch("us") / 1e6
    return seconds


def _without_bad_ids(frame: pl.DataFrame, faults: Faults) -> pl.DataFrame:
    """Return the rows whose ids training takes."""
    import polars as pl

    for role in (USER, ITEM):
        text, lines = frame[role], frame[_LINE].to_numpy()
        numbers = text.str.strip_chars().cast(pl.Int64, strict=False)
        if not numbers.null_count():
            bad, kind = (numbers < 0).to_numpy(), "negative-id"
        else:
            bad, kind = (text.str.len_chars() > MAX_ID_LENGTH).to_numpy(), "long-id"
            missing = text.str.to_lowercase().is_in(list(MISSING_WORDS))
            others = text.filter(~missing).cast(pl.Float64, strict=False)
            if missing.any() and len(others) and not others.null_count():
                bad, kind = missing.to_numpy(), "missing-id"
        rows = np.flatnonzero(bad).tolist()
        faults.among(kind, len(rows), ((int(lines[row]), f"the {role} is {shown(text[row], 40)}") for row in rows))
        frame = frame.filter(pl.Series(~bad))
    return frame


def _without_bad_times(frame: pl.DataFrame, faults: Faults) -> pl.DataFrame:
    import polars as pl

    if TIMESTAMP not in frame.columns or not frame.height:
        return frame
    are_dates = 2 * int(frame[_IS_DATE].sum()) > frame.height
    others = frame.filter(pl.col(_IS_DATE) != are_dates)
    expected = "expected a date as in other rows" if are_dates else "expected a number as in other rows"
    found = zip(others[_LINE], others[TIMESTAMP], strict=True)
    faults.among("not-a-number", others.height, ((line, f"{expected}, found {time:.15g}") for line, time in found))
    frame = frame.filter(pl.col(_IS_DATE) == are_dates)
    times, lines = frame[TIMESTAMP].to_numpy(), frame[_LINE].to_numpy()
    good = np.ones(len(times), dtype=bool)
    for suspicion in suspicions(times, are_dates=are_dates):
        if suspicion.is_refused:
            at = ((int(lines[row]), f"the time is {times[row]:.15g}") for row in suspicion.rows.tolist())
            faults.among(suspicion.kind, len(suspicion.rows), at, suspicion.message.partition(", found")[0])
            good[suspicion.rows] = False
    return frame.filter(pl.Series(good))


def _finish(sniffed: Sniffed, frame: pl.DataFrame, faults: Faults) -> Table | None:
    """Return the table of rows that are left."""
    if not frame.height:
        return None
    lines = frame[_LINE].to_numpy()
    try:
        table = frame_to_table(frame.drop(_LINE, _IS_DATE, strict=False), sniffed.path, 1, lambda: None)
    except DataError as error:
        faults.add("refused", str(error))
        return None
    columns = dict(table.columns)
    if sniffed.format == "triples" and RATING in columns:
        columns = {WEIGHT: columns[RATING]}
    elif sniffed.format == "pairs":
        columns = {TIMESTAMP: rank_within_user(table.users.codes, len(table.users.names)).astype(np.int64)}
    return replace(table, columns=columns, line_of=lambda row: int(lines[row]), time_is_order=sniffed.format == "pairs")


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
