"""Read text with a column separator: csv and tsv, `u.data`, RecBole's `.inter`, pairs and weighted triples."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recrun.data.formats.column_names import COLUMN_KEYS, find_columns
from recrun.data.formats.find_bad_row import STAND_IN, TextShape, explain_rows, is_rectangular
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.integer_lines import parse_lines
from recrun.data.formats.opening import check_encoding, open_binary, read_binary
from recrun.data.formats.polars_files import read_text_columns
from recrun.data.formats.table import Ids, Layout, Table, data_error
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER, WEIGHT
from recrun.data.splits.rules import rank_within_user
from recrun.errors import DataError
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import polars as pl

SEPARATORS = (",", "\t", ";", "|", "::", " ")
_SAMPLE = 1 << 16


@dataclass(frozen=True)
class Dialect:
    """What a format fixes about its files; None is found out from the first line.

    Args:
        separator: between columns.
        header: whether the first line names the columns.
        quoted: whether a value may stand in double quotes.
        positions: the roles of the columns of a file without header, in order.
        n_columns: how many columns there must be.
    """

    separator: str | None = None
    header: bool | None = None
    quoted: bool = False
    positions: tuple[str, ...] = (USER, ITEM, RATING, TIMESTAMP)
    n_columns: int | None = None


DIALECTS = {
    "csv": Dialect(quoted=True),
    "tsv": Dialect(separator="\t"),
    "inter": Dialect(separator="\t", header=True),
    "udata": Dialect(separator="\t", header=False),
    "triples": Dialect(header=False, positions=(USER, ITEM, RATING), n_columns=3),
    "pairs": Dialect(header=False, positions=(USER, ITEM), n_columns=2),
}
"""What each format of text fixes."""


@FORMATS.register("csv", extensions=(".csv",))
def read_csv(path: Path, layout: Layout) -> Table:
    """Read columns with any separator, which is found in the first line, with or without a header row."""
    return _read(path, layout, DIALECTS["csv"])


@FORMATS.register("tsv", extensions=(".tsv",))
def read_tsv(path: Path, layout: Layout) -> Table:
    """Read columns separated by tabs, with or without a header row."""
    return _read(path, layout, DIALECTS["tsv"])


@FORMATS.register("inter", extensions=(".inter",))
def read_inter(path: Path, layout: Layout) -> Table:
    """Read a RecBole atomic file: tabs between columns, names with types (`user_id:token`) in the first line."""
    return _read(path, layout, DIALECTS["inter"])


@FORMATS.register("udata", extensions=(".data", ".base"))
def read_udata(path: Path, layout: Layout) -> Table:
    """Read `user item rating timestamp` lines separated by tabs and without a header row, as in MovieLens 100K."""
    return _read(path, layout, DIALECTS["udata"])


@FORMATS.register("triples", times="none")
def read_triples(path: Path, layout: Layout) -> Table:
    """Read `user item weight` lines without a header row; the weight becomes the column "weight"."""
    table = _read(path, layout, DIALECTS["triples"])
    return replace(table, columns={WEIGHT: table.columns[RATING]})


@FORMATS.register("pairs", times="order", rated=False)
def read_pairs(path: Path, layout: Layout) -> Table:
    """Read `user item` lines without a header row, in time order for each user."""
    table = _read(path, layout, DIALECTS["pairs"])
    order = rank_within_user(table.users.codes, len(table.users.names)).astype(np.int64)
    return replace(table, columns={TIMESTAMP: order}, time_is_order=True)


def read_list(path: Path) -> Table:
    """Read an `org_id remap_id` list, shipped beside LightGCN's files: original ids as users, the others as items."""
    table = _list_of_integers(path)
    if table is not None:
        return table
    layout = Layout(separator=" ", header=True, user_column="org_id", item_column="remap_id")
    return _read(path, layout, Dialect())


def _list_of_integers(path: Path) -> Table | None:
    """Return the table of a list of integers, in a tenth of the memory that polars takes; None when it is none."""
    head, _, text = read_binary(path).partition(b"\n")
    if head.strip() != b"org_id remap_id":
        return None
    try:
        users, items, n_integers = parse_lines(text, path, 2)
    except DataError:
        return None
    if not len(items) or (n_integers != 2).any():
        return None
    return Table(path, Ids.of_integers(users), Ids.of_integers(items), line_of=lambda row: row + 2)


def guess_separator(line: str) -> str:
    """Return the separator of a file from a line of it: of the usual ones, the one that occurs most often.

    >>> guess_separator("user;item;rating"), guess_separator("1::1193::5::978300760")
    (';', '::')
    """
    counts = {separator: line.strip().count(separator) for separator in SEPARATORS}
    best = max(SEPARATORS, key=lambda separator: counts[separator] - (separator == " ") * 1e-3)
    return best if counts[best] else ","


def looks_like_header(fields: list[str]) -> bool:
    """Return whether the fields of a first line are names: none of them is a number."""
    return not any(re.fullmatch(r"\s*[-+]?[\d.]+([eE][-+]?\d+)?\s*", field) for field in fields)


def _read(path: Path, layout: Layout, dialect: Dialect) -> Table:
    first, second = first_lines(path, layout.encoding)
    separator = layout.separator or dialect.separator or guess_separator(first)
    if not set(separator).isdisjoint('\r\n"'):
        raise data_error(path, None, f"{separator!r} cannot be a separator")
    names = split_line(first, separator, dialect.quoted)
    header = next((known for known in (layout.header, dialect.header) if known is not None), looks_like_header(names))
    if header and not second:
        raise data_error(path, None, "holds no interactions, only a header row", kind="empty")
    hint = _separator_hint(first, separator, len(names))
    if dialect.n_columns not in (None, len(names)):
        expected = " ".join(role if role != RATING else WEIGHT for role in dialect.positions)
        raise data_error(path, 1, f"expected lines `{expected}`, found {len(names)} columns{hint}")
    notes: tuple[str, ...] = ()
    if not header:
        names, layout = [str(i + 1) for i in range(len(names))], by_position(layout, dialect, len(names))
    positions = find_columns(path, names, layout, hint)
    if not header and dialect.header is None:
        notes = (f"{path.name}: no header row; the columns were taken as {', '.join(positions)}",)
    shape = TextShape(separator, header, dialect.quoted, layout.encoding, len(names), positions)
    time = (
        split_line(second or first, separator, dialect.quoted)[positions[TIMESTAMP] :][:1]
        if TIMESTAMP in positions
        else []
    )
    frame = _parse(path, shape, time[0] if time else "")
    return frame_to_table(frame, path, 1 + header, partial(explain_rows, path, shape), notes)


def first_lines(path: Path, encoding: str) -> tuple[str, str]:
    """Return the first line, and the next that is not blank, or "" where there is none."""
    check_encoding(path, encoding)
    with open_binary(path) as stream:
        sample = stream.read(_SAMPLE)
    text = sample.decode(encoding, errors="replace").removeprefix("\ufeff")
    if not text.strip():
        raise data_error(path, None, "is empty", kind="empty")
    if "\0" in text:
        raise data_error(
            path,
            text[: text.index("\0")].count("\n") + 1,
            f"is not {encoding} text: found a byte 0; set encoding (utf-16?)",
        )
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[0], next((line for line in lines[1:] if line.strip()), "")


def split_line(line: str, separator: str, quoted: bool) -> list[str]:
    """Return the fields of one line, without the quotes around them where there may be some."""
    if not quoted or len(separator) > 1:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def _separator_hint(line: str, separator: str, n_columns: int) -> str:
    other = guess_separator(line)
    if n_columns > 1 or other == separator or other not in line:
        return ""
    return f" (with separator {separator!r} there is one column; is the separator {other!r}?)"


def by_position(layout: Layout, dialect: Dialect, n_columns: int) -> Layout:
    """Return the layout of a file without names: columns are called "1", "2", ... and have the format's usual roles."""
    chosen: dict[str, Any] = {key: getattr(layout, key) for key in COLUMN_KEYS.values()}
    taken = set(chosen.values())
    for place, role in enumerate(dialect.positions[:n_columns], start=1):
        if chosen[COLUMN_KEYS[role]] is None and str(place) not in taken:
            chosen[COLUMN_KEYS[role]] = str(place)
    return replace(layout, **chosen)


def _parse(path: Path, shape: TextShape, time: str) -> pl.DataFrame:
    """Return the needed columns of the file, called by their roles; the time's type is tried from a value of it."""
    import polars as pl

    times = [pl.Int64, pl.Float64] if re.fullmatch(r"\s*-?\d+\s*", time) else [pl.Float64, pl.String]
    source = text_source(path, shape)
    for attempt, time_type in enumerate(times):
        try:
            frame = _read_frame(
                source, shape, {USER: pl.String, ITEM: pl.String, RATING: pl.Float32, TIMESTAMP: time_type}
            )
            break
        except (pl.exceptions.PolarsError, OSError) as error:
            if TIMESTAMP in shape.positions and attempt + 1 < len(times):
                continue
            reason = str(error).splitlines()[0]
            raise explain_rows(path, shape) or data_error(path, None, f"cannot be read ({reason})") from error
    # polars does not look at columns nobody asked for, so rows with too few or too many would pass.
    if len(shape.positions) < shape.n_columns and not is_rectangular(source, shape):
        fault = explain_rows(path, shape)
        if fault:
            raise fault
    return frame


def text_source(path: Path, shape: TextShape) -> Path | bytes:
    """Return what polars can read: the file itself, or its text recoded to UTF-8 with a separator of one byte."""
    recode = shape.encoding.lower().replace("-", "") not in ("utf8", "ascii")
    if not recode and len(shape.separator.encode()) == 1:
        return path
    try:
        text = read_binary(path).decode(shape.encoding)
    except UnicodeDecodeError as error:
        raise explain_rows(path, shape) or data_error(path, None, f"is not {shape.encoding} text") from error
    if len(shape.separator.encode()) > 1:
        text = text.replace(shape.separator, STAND_IN)
    return text.encode("utf-8")


def _read_frame(source: Path | bytes, shape: TextShape, types: dict[str, Any]) -> pl.DataFrame:
    frame = read_text_columns(source, shape, {position: types[role] for role, position in shape.positions.items()})
    return frame.rename(dict(zip(frame.columns, shape.positions, strict=True)))
