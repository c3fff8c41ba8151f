"""Read text with a column separator: csv and tsv, `u.data`, RecBole's `.inter`, pairs and weighted triples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recrun.data.formats.columns.names import COLUMN_KEYS, bare_name, distinct_names, find_columns, recognised
from recrun.data.formats.columns.roles import ByPosition
from recrun.data.formats.columns.sample_lines import check_guess, guess_separator, split_head, split_line
from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.columns.used import roles_listed, unused_notes
from recrun.data.formats.find_bad_row import TextShape, explain_rows, row_lines
from recrun.data.formats.first_lines import first_lines
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.integer_lines import parse_lines
from recrun.data.formats.opening import read_binary
from recrun.data.formats.polars_files import read_text_columns
from recrun.data.formats.table import Ids, Layout, Origin, Table, data_error, shown
from recrun.data.formats.text_frame import parse_selected, parse_text, refuse_ragged, text_source
from recrun.data.formats.values.dates import is_date
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER, WEIGHT
from recrun.data.splits.rules import rank_within_user
from recrun.errors import DataError
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import polars as pl


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


@FORMATS.register("tsv", extensions=(".tsv",), without=("escape",))
def read_tsv(path: Path, layout: Layout) -> Table:
    """Read columns separated by tabs, with or without a header row."""
    return _read(path, layout, DIALECTS["tsv"])


@FORMATS.register("inter", extensions=(".inter",), without=("escape",))
def read_inter(path: Path, layout: Layout) -> Table:
    """Read a RecBole atomic file: tabs between columns, names with types (`user_id:token`) in the first line."""
    return _read(path, layout, DIALECTS["inter"])


@FORMATS.register("udata", extensions=(".data", ".base"), without=("escape",))
def read_udata(path: Path, layout: Layout) -> Table:
    """Read `user item rating timestamp` lines separated by tabs and without a header row, as in MovieLens 100K."""
    return _read(path, layout, DIALECTS["udata"])


@FORMATS.register("triples", times="none")
def read_triples(path: Path, layout: Layout) -> Table:
    """Read `user item weight` lines without a header row; the weight becomes the column "weight"."""
    table = _read(path, layout, DIALECTS["triples"])
    if RATING not in table.columns:
        raise data_error(path, None, "format triples needs the weight; leave rating_column out, or set format=csv")
    return replace(table, columns={WEIGHT: table.columns[RATING]}, origin=None)


@FORMATS.register("pairs", times="order", rated=False, without=("time_format",))
def read_pairs(path: Path, layout: Layout) -> Table:
    """Read `user item` lines without a header row, in time order for each user."""
    table = _read(path, layout, DIALECTS["pairs"])
    order = rank_within_user(table.users.codes, len(table.users.names)).astype(np.int64)
    return replace(table, columns={TIMESTAMP: order}, time_is_order=True, origin=None)


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


def looks_like_header(fields: list[str]) -> bool:
    """Return whether the fields of a first line are names: none of them is a number or a date."""
    return not any(re.fullmatch(r"\s*[-+]?[\d.]+([eE][-+]?\d+)?\s*", field) or is_date(field) for field in fields)


def _read(path: Path, layout: Layout, dialect: Dialect) -> Table:
    named = [role for role, key in COLUMN_KEYS.items() if getattr(layout, key) is not None]
    shape, names, row = _find_shape(path, layout, dialect)
    notes: list[str] = []
    if not shape.header and dialect.header is None:
        notes.append(f"{path.name}: no header row; the columns were taken as {roles_listed(shape.positions)}")
    by_place = None if shape.header else ByPosition(path, shape, named, is_fixed=dialect.n_columns is not None)
    if by_place is not None:
        by_place.check_sample()
    selection = Selection(path, layout, names)
    notes += unused_notes(path, names, shape, selection.positions.values())
    kept = None
    if layout.selects:
        frame, kept, told = parse_selected(path, shape, selection)
        notes += told
    else:
        time = row[shape.positions[TIMESTAMP] :][:1] if TIMESTAMP in shape.positions and not layout.time_format else []
        frame = parse_text(path, shape, "".join(time))
    try:
        table = frame_to_table(
            frame,
            path,
            1 + shape.n_skipped,
            partial(explain_rows, path, shape),
            tuple(notes),
            time_format=layout.time_format,
            columns={role: bare_name(names[position]) for role, position in shape.positions.items()},
            find_lines=(lambda: row_lines(text_source(path, shape), shape.n_skipped)) if dialect.quoted else None,
            kept=kept,
        )
    except DataError as error:
        if dialect.quoted and error.kind == "encoding":  # a carriage return, from rows that run together
            refuse_ragged(path, text_source(path, shape), shape)
        raise
    table = replace(table, names=tuple(names), origin=_origin(path, shape, names))
    # Where quotes are out of step, rows run together, and the ids show it; numbers never take part in that.
    if dialect.quoted and len(shape.positions) == len(names) and _has_quotes(table):
        refuse_ragged(path, text_source(path, shape), shape)
    if by_place is not None:
        by_place.check_table(table)
    return table


def _origin(path: Path, shape: TextShape, names: Sequence[str]) -> Origin:
    """Return what reads all columns of a file; without a header row they are called by their roles or `column_5`."""
    if not shape.header:
        called = {place: role for role, place in shape.positions.items()}
        names = [called.get(place, f"column_{place + 1}") for place in range(shape.n_columns)]
    columns = distinct_names(names)

    def read(rows: np.ndarray) -> pl.DataFrame:
        frame = read_text_columns(text_source(path, shape), shape, dict.fromkeys(range(shape.n_columns)))
        return frame.rename(dict(zip(frame.columns, columns, strict=True)))[rows]

    return Origin({role: columns[place] for role, place in shape.positions.items()}, read)


def _find_shape(path: Path, layout: Layout, dialect: Dialect) -> tuple[TextShape, list[str], list[str]]:
    """Return how a file is laid out, the names of its columns (numbers where it has none), and the fields of a row."""
    start = first_lines(path, layout.encoding)
    first = start.first
    separator = layout.separator or dialect.separator
    if separator is None:
        separator = guess_separator(first)
        check_guess(path, separator, layout.encoding, dialect.quoted)
    check_marks(path, separator, layout.escape)
    names = split_head(path, first, separator, dialect.quoted)
    if dialect.quoted and first.replace('\\"', "").count('"') % 2:
        raise data_error(path, 1, f"a quote that begins here is not closed on this line: {shown(first)}", "quotes")
    known = layout.header if layout.header is not None else dialect.header
    header = looks_like_header(names) if known is None else known
    if header and not start.second:
        raise data_error(path, None, "holds no interactions, only a header row", kind="empty")
    hint = _separator_hint(first, separator, len(names))
    if dialect.n_columns not in (None, len(names)):
        expected = " ".join(role if role != RATING else WEIGHT for role in dialect.positions)
        raise data_error(path, 1, f"expected lines `{expected}`, found {len(names)} columns{hint}")
    if not header:
        # A separator at the end of each line makes no column.
        n_named = len(names) - (len(names) > 2 and not names[-1].strip())
        names, layout = [str(i + 1) for i in range(len(names))], by_position(layout, dialect, n_named)
    elif known is None and not any(recognised(role, names) for role in COLUMN_KEYS):
        hint += " (if the first line is no header row, set header=false)"
    positions = find_columns(path, names, layout, hint)
    escape = layout.escape if dialect.quoted else None
    n_above = start.n_skipped(header)
    shape = TextShape(separator, header, dialect.quoted, layout.encoding, len(names), positions, escape, n_above)
    return shape, names, split_line(start.second or first, separator, dialect.quoted)


def check_marks(path: Path, separator: str, escape: str | None) -> None:
    """Refuse a separator and an escape that cannot be any.

    Raises:
        DataError: the separator has a quote or ends lines, or the escape is not one other character.
    """
    if not set(separator).isdisjoint('\r\n"'):
        raise data_error(path, None, f"{separator!r} cannot be a separator")
    if escape is not None and (len(escape) != 1 or escape in '\r\n"' or escape in separator or not escape.isascii()):
        raise data_error(path, None, f"{escape!r} cannot be an escape; expected one character, such as a backslash")


def _has_quotes(table: Table) -> bool:
    """Return whether an id may hold a quote or a line end; no false for one that does."""
    texts = (ids.names.tobytes() for ids in (table.users, table.items) if not ids.are_integers)
    return any(b'"' in text or b"\n" in text for text in texts)


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
