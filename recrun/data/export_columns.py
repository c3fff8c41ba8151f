"""Name the columns of exported files, hold them to what a format can hold, and check that they are read as written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.datasets.preparation import WHOLE, Preparation, prepare
from recrun.data.formats.columns.names import COLUMN_KEYS, REQUIRED_ROLES, bare_name, match_columns
from recrun.data.formats.columns.sample_lines import SEPARATORS
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.delimited import looks_like_header
from recrun.data.formats.table import Layout
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER, WEIGHT, Interactions, join
from recrun.data.splits import GIVEN_PART, PARTS
from recrun.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from recrun.data.datasets.base import RecDataSet
    from recrun.data.original_columns import Originals

_INTER: Final = {USER: "user_id", ITEM: "item_id", RATING: RATING, WEIGHT: WEIGHT, TIMESTAMP: TIMESTAMP}
"""RecBole's names of the roles."""
_TYPED: Final = re.compile(r".*:(token|float|token_seq|float_seq)")


def text_columns(frame: pl.DataFrame, roles: Mapping[str, str], format: str) -> pl.DataFrame:
    """Return columns as a format of text can hold them.

    Raises:
        DataError: a column holds lists, structures or bytes.
    """
    import polars as pl

    types: Any = {}
    for name, kind in frame.schema.items():
        if kind.is_nested() or kind in (pl.Binary, pl.Object):
            raise DataError(f"column {name!r} holds {kind}, which {format} cannot hold; choose parquet")
        if isinstance(kind, (pl.Categorical, pl.Enum)) or kind == pl.Null:
            types[name] = pl.String
        elif kind.is_float() and name in (roles[USER], roles[ITEM]):
            types[name] = pl.Int64
        elif kind == pl.Boolean and name == roles.get(RATING):
            types[name] = pl.Int8
    return frame.cast(types)


def to_inter(frame: pl.DataFrame, typed: pl.DataFrame, roles: Mapping[str, str]) -> pl.DataFrame:
    """Return a frame with its columns named as in RecBole's atomic files.

    Args:
        frame: the columns.
        typed: the same, with types that tell numbers.
        roles: the column of each role.

    Raises:
        DataError: a value would break a line of a file without quotes.
    """
    import polars as pl

    for name in frame.columns:
        if re.search(r"[\t\n\r]", name):
            message = f"inter files have no quotes, and the name of column {name!r} contains tabs or line breaks"
            raise DataError(f"{message}; choose csv or parquet")
    for name, values in zip(frame.columns, frame, strict=True):
        if values.dtype == pl.String and values.str.contains(r"[\t\n\r]").any():
            what = next((f"{role} ids contain" for role in REQUIRED_ROLES if roles[role] == name), "")
            what = what or f"column {name!r} contains"
            raise DataError(f"inter files have no quotes, and {what} tabs or line breaks; choose csv or parquet")
    names: dict[str, str] = {}
    others = {bare_name(name) for name in frame.columns}
    for name in frame.columns:
        role = next((role for role, column in roles.items() if column == name), "")
        is_number = typed.schema[name].is_numeric() and role not in REQUIRED_ROLES
        called = name if _TYPED.fullmatch(name) else f"{name}:{'float' if is_number else 'token'}"
        if role and (_INTER[role] not in others or _INTER[role] == bare_name(name)):
            called = f"{_INTER[role]}:{'float' if is_number else 'token'}"
        names[name] = called
    return frame.rename(names)


def reading_settings(frame: pl.DataFrame, originals: Originals, format: str) -> dict[str, Any]:
    """Return the settings that read a written frame, without those that are found out.

    Args:
        frame: what is written.
        originals: where it comes from; its columns are those of the frame, in the same order.
        format: "csv", "parquet" or "inter".
    """
    places = {role: originals.frames["train"].columns.index(name) for role, name in originals.roles.items()}
    names, settings = frame.columns, dict[str, Any]()
    found, problems = match_columns(names, Layout())
    if problems or found != places:
        for role, key in COLUMN_KEYS.items():
            if role in places:
                settings[key] = names[places[role]] if format != "inter" else bare_name(names[places[role]])
            elif role in found or role in problems:
                settings[key] = ""
    if originals.time_format:
        settings["time_format"] = originals.time_format
    if format == "csv" and any(mark in name for mark in SEPARATORS for name in names):
        settings["separator"] = ","
    if format == "csv" and not looks_like_header(names):
        settings["header"] = True
    return settings


def kept_repeats(dataset: RecDataSet) -> dict[str, Any]:
    """Return the setting without which repeated interactions would be dropped when they are read; {} if none are."""
    return {"duplicates": "all"} if dataset.preparation.duplicates == "all" else {}


def refuse_unreadable(dataset: RecDataSet, files: Mapping[str, Path], format: str, settings: Mapping[str, Any]) -> None:
    """Read written files, and make sure that they hold the parts of a data set.

    Args:
        dataset: the data set.
        files: the file of each part, or the one of "all" of them.
        format: theirs.
        settings: what reads them.

    Raises:
        DataError: they hold something else, or cannot be read.
    """
    remedy = "choose csv" if format == "parquet" else "choose parquet"
    try:
        tables = {part: read_table(format, path, Layout(**settings)) for part, path in files.items()}
        repeats = kept_repeats(dataset)
        whole = Preparation(test_ratio=0.0, valid_ratio=0.0, **repeats)
        if GIVEN_PART in files:  # parts of which no user is in train are read one by one
            read = {part: (prepare({WHOLE: table}, whole), "train") for part, table in tables.items()}
        else:
            prepared = prepare(
                tables, whole if WHOLE in files else Preparation(split="given", valid_ratio=0.0, **repeats)
            )
            read = {part: (prepared, part) for part in PARTS}
    except DataError as error:
        raise DataError(f"the {format} files would not be read again: {error.message}; {remedy}") from error
    names: tuple[Any, ...] = (*PARTS, *(() if dataset.given() is None else (GIVEN_PART,)))
    expected = {part: dataset.interactions(part) for part in names if WHOLE in files or part in read}
    if WHOLE in files:
        rows = join(list(expected.values()))
        order = np.lexsort((rows.columns[TIMESTAMP], rows.users) if TIMESTAMP in rows.columns else (rows.users,))
        columns = {name: values[order] for name, values in rows.columns.items()}
        expected = {"train": Interactions(rows.users[order], rows.items[order], columns)}
    for part, rows in expected.items():
        prepared, name = read[part]
        again = prepared.parts[name]
        ids = (dataset.user_ids, dataset.item_ids), (prepared.user_ids, prepared.item_ids)
        is_same = all(map(np.array_equal, *ids)) and _are_equal(rows, again)
        if not is_same and not _as_frame(rows, *ids[0]).equals(_as_frame(again, *ids[1])):
            raise DataError(f"the {format} files would hold another {part} part when they are read again; {remedy}")


def _are_equal(one: Interactions, other: Interactions) -> bool:
    if set(one.columns) != set(other.columns):
        return False
    pairs = [(one.users, other.users), (one.items, other.items)]
    return all(np.array_equal(*pair) for pair in [*pairs, *((one.columns[n], other.columns[n]) for n in one.columns)])


def _as_frame(rows: Interactions, user_ids: np.ndarray, item_ids: np.ndarray) -> pl.DataFrame:
    """Return rows with ids as text, in the order of their users, where those of numbers and of text differ."""
    import polars as pl

    ids = {USER: user_ids.astype(str)[rows.users], ITEM: item_ids.astype(str)[rows.items]}
    columns = {name: rows.columns[name].astype(np.float64) for name in sorted(rows.columns)}
    times = [TIMESTAMP] if TIMESTAMP in columns else []
    return pl.DataFrame({**ids, **columns}).sort([USER, *times], maintain_order=True)
