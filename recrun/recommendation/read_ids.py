"""Read a list of original ids of users or items from a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from recrun.data.formats.columns.names import bare_name, listed, recognised
from recrun.data.formats.opening import ending_of, read_binary
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns
from recrun.data.formats.table import MAX_ID_LENGTH, data_error
from recrun.errors import DataError

Kind = Literal["user", "item"]

PARQUET: Final = (".parquet", ".pq")
_TABLES: Final = {".csv": ",", ".tsv": "\t"}
_JSON: Final = (".jsonl", ".ndjson")


def read_ids(path: Path, kind: Kind) -> NDArray[Any]:
    """Return the ids that a file lists, (N,), integers or text, in its order.

    A file that ends in .parquet, .pq, .csv, .tsv or .jsonl has them in the column that is named as one of users (of
    items), such as `user` or `user_id`; one with a single column needs no such name. Any other file has one id on each
    line.

    Args:
        path: the file, plain or compressed.
        kind: "user" or "item".

    Raises:
        DataError: it cannot be read, has no such column, or lists no ids.
    """
    ending = ending_of(path)
    try:
        ids = (
            _of_parquet(path, kind)
            if ending in PARQUET
            else np.array(_of_text(path, ending, kind), dtype=np.str_).reshape(-1)
        )
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if not len(ids):
        raise DataError(f"{path} lists no {kind}s")
    return ids


def _of_parquet(path: Path, kind: Kind) -> NDArray[Any]:
    import polars as pl

    names = parquet_names(path)
    column = read_parquet_columns(path, [names[_position(path, names, kind)]]).to_series()
    if column.null_count():
        raise DataError(f"{path}: the {kind} of row {int(column.is_null().arg_max() or 0) + 1} is missing")
    if column.dtype.is_integer():
        return column.to_numpy()
    if column.dtype not in (pl.String, pl.Categorical):
        raise DataError(f"{path}: {kind}s must be integers or text, found {column.dtype}")
    return np.array(column.cast(pl.String).to_list(), dtype=np.str_)


def _of_text(path: Path, ending: str, kind: Kind) -> list[str]:
    try:
        text = read_binary(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise data_error(path, None, f"is not text in UTF-8 (byte {error.start + 1}); convert it") from None
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line.strip()]
    if ending in _JSON:
        found = [(number, _of_record(path, number, line, kind)) for number, line in lines]
    elif ending in _TABLES:
        found = _of_table(path, text, _TABLES[ending], kind)
    else:
        found = [(number, line.strip()) for number, line in lines]
    for number, each in found:
        if not each or len(each) > MAX_ID_LENGTH:
            wrong = f"is longer than {MAX_ID_LENGTH} characters" if each else "is missing"
            raise data_error(path, number, f"the {kind} {wrong}")
    return [each for _, each in found]


def _of_table(path: Path, text: str, separator: str, kind: Kind) -> list[tuple[int, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise data_error(path, reader.line_num, f"cannot be read as a table ({error})") from None
    if not rows:
        return []
    head = rows[0][1]
    if recognised(kind, head) or len(head) > 1:
        position, rows = _position(path, head, kind), rows[1:]
    else:
        position = 0
    for number, row in rows:
        if len(row) != len(head):
            raise data_error(path, number, f"expected {len(head)} columns, as on its first line, found {len(row)}")
    return [(number, row[position].strip()) for number, row in rows]


def _of_record(path: Path, number: int, line: str, kind: Kind) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise data_error(path, number, "is not JSON") from None
    if isinstance(value, dict):
        names = list(value)
        value = value[names[_position(path, names, kind)]]
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise data_error(path, number, f"expected the id of a {kind}, a number or text, found {type(value).__name__}")
    return str(value).strip()


def _position(path: Path, names: Sequence[str], kind: Kind) -> int:
    """Return which of the columns of a file holds the ids."""
    found = recognised(kind, names)
    if len(found) == 1:
        return found[0]
    if not found and len(names) == 1:
        return 0
    if found:
        several = listed([bare_name(names[i]) for i in found])
        raise DataError(f"{path}: several columns may hold the {kind}s: {several}; call only one of them {kind!r}")
    raise DataError(f"{path}: which column holds the {kind}s? Call it {kind!r}. Found: {listed(names)}")
