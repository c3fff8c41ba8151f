"""Read lines of records: JSON lines, and the Python dicts that some older data sets are made of."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.data.formats.columns.names import find_columns
from recrun.data.formats.file_kinds import kind_of, read_start, refuse_other_kinds, said_of
from recrun.data.formats.first_lines import LONGEST
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.json_columns import all_columns
from recrun.data.formats.opening import check_encoding, open_binary
from recrun.data.formats.table import Layout, Origin, Table, data_error, shown
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError, RowFault
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

N_SAMPLED: Final = 1000
"""Records whose keys are taken for the columns of the file."""
_CHUNK: Final = 1 << 16
_LARGEST_EXACT: Final = 2**53
_BEYOND: Final = 2**63

Parse = Callable[[str], dict[str, Any]]
Keys = tuple[str, ...]
"""The keys that lead to a value, one for each level of nesting."""


class _BadRecordError(ValueError):
    """A line that cannot be used: the kind of its fault, and what is wrong."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


@FORMATS.register("jsonl", extensions=(".jsonl", ".ndjson", ".json"))
def read_jsonl(path: Path, layout: Layout) -> Table:
    """Read JSON lines, an object on each; its keys are the columns, those of nested objects as `outer.inner`."""
    return _read(path, layout, "jsonl")


@FORMATS.register("pylines")
def read_pylines(path: Path, layout: Layout) -> Table:
    """Read a Python dict on each line (`{u'user': u'x'}`), as in the data of Steam; only literals, never code."""
    return _read(path, layout, "pylines")


def sample_records(path: Path, encoding: str, format: str) -> dict[str, list[Any]]:
    """Return the values of each column in the first records of a file.

    Raises:
        DataError: the file is no text, or one of the lines is no record.
    """
    _refuse_documents(path, encoding, format)
    columns: dict[str, list[Any]] = {}
    for record in _first_records(path, encoding, format):
        for name, keys in _names_of(record).items():
            columns.setdefault(name, []).append(_value(record, keys))
    return columns


def _read(path: Path, layout: Layout, format: str) -> Table:
    check_encoding(path, layout.encoding)
    _refuse_documents(path, layout.encoding, format)
    names: dict[str, Keys] = {}
    for record in _first_records(path, layout.encoding, format):
        names |= {name: keys for name, keys in _names_of(record).items() if name not in names}
    found = list(names)
    roles = {role: names[found[place]] for role, place in find_columns(path, found, layout).items()}
    faults = partial(_faults, path, layout.encoding, format, roles)
    frame = _frame(path, layout.encoding, format, roles)
    if frame is None:
        first = next(faults())
        raise DataError(first.message, path=path, line=first.line, kind=first.kind, rows=faults)
    table = frame_to_table(frame, path, 1, lambda: None)

    def read(rows: np.ndarray) -> pl.DataFrame:
        records = (_record(line, format) if line else {} for _, line in _lines(path, layout.encoding))
        return all_columns(({name: _value(r, keys) for name, keys in _names_of(r).items()} for r in records), rows)

    return replace(table, origin=Origin({role: ".".join(keys) for role, keys in roles.items()}, read))


def _refuse_documents(path: Path, encoding: str, format: str) -> None:
    refuse_other_kinds(path, encoding, reads=("jsonl", "pylines"))
    start = read_start(path)
    kind = kind_of(start)
    if kind.name == "pylines" and format == "jsonl":
        raise data_error(path, None, said_of(path, kind), "not-data")
    text = start.decode(encoding, errors="replace").removeprefix("\ufeff").lstrip()
    name = path.name
    if text.startswith("["):
        message = "is one JSON array, expected an object on each line"
        raise data_error(path, None, f"{message}: jq -c '.[]' {name} > {path.stem}.jsonl", "not-data")
    if re.match(r"\{\s*\n", text):
        message = "is a JSON document over several lines, expected an object on each line"
        raise data_error(path, None, f"{message}: jq -c . {name} > {path.stem}.jsonl", "not-data")


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield (its number from 1, text) of each line, without its end."""
    is_utf8 = encoding.lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig", "ascii")
    errors = "surrogateescape" if is_utf8 else "strict"
    number = 0
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding, errors=errors, newline="\n") as text:
        try:
            while line := text.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    message = f"the line is longer than {LONGEST >> 20} MiB; expected an object on each line"
                    raise data_error(path, number, message, "not-data")
                yield number, (line.removeprefix("\ufeff") if number == 1 else line).strip(" \t\r\n")
        except UnicodeDecodeError as error:
            raise data_error(path, number + 1, f"is not {encoding} text ({error.reason})", "encoding") from error


def _parse_json(line: str) -> Any:
    try:
        return json.loads(line, object_pairs_hook=_without_repeats)
    except _BadRecordError:
        raise
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "a number or nesting that is too large")
        raise _BadRecordError("record", f"expected a JSON object, found {shown(line)} ({reason})") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        again = next(key for key in keys if keys.count(key) > 1)
        raise _BadRecordError("record", f"the key {again!r} is there twice")
    return record


def _parse_python(line: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in texts
            tree = ast.parse(line, mode="eval")
            record = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise _BadRecordError("record", f"expected a Python dict of literals, found {shown(line)}") from error
    if isinstance(record, dict) and isinstance(tree.body, ast.Dict) and len(record) < len(tree.body.keys):
        raise _BadRecordError("record", f"a key is there twice: {shown(line)}")
    return record


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {"jsonl": _parse_json, "pylines": _parse_python}


def _record(line: str, format: str) -> dict[str, Any]:
    record = _PARSERS[format](line)
    if not isinstance(record, dict):
        raise _BadRecordError("record", f"expected an object with keys on each line, found {shown(line)}")
    return record


def _first_records(path: Path, encoding: str, format: str) -> Iterator[dict[str, Any]]:
    n_good = 0
    for number, line in islice(_lines(path, encoding), 2 * N_SAMPLED):
        if line and n_good < N_SAMPLED:
            try:
                yield _record(line, format)
                n_good += 1
            except _BadRecordError as error:
                if not n_good:
                    raise data_error(path, number, str(error), error.kind) from error


def _names_of(record: Mapping[str, Any], above: Keys = ()) -> dict[str, Keys]:
    """Return the name of each value of a record, and the keys that lead to it."""
    names: dict[str, Keys] = {}
    for key, value in record.items():
        keys = (*above, str(key))
        found = _names_of(value, keys) if isinstance(value, dict) and len(keys) < 5 else {".".join(keys): keys}
        names |= {name: path for name, path in found.items() if name not in names or len(path) < len(names[name])}
    return names


def _value(record: Any, keys: Keys) -> Any:
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def _frame(path: Path, encoding: str, format: str, roles: Mapping[str, Keys]) -> pl.DataFrame | None:
    """Return the columns of the file, blank lines as nulls; None where a line is at fault."""
    import polars as pl

    chunks: list[dict[str, pl.Series]] = []
    values: dict[str, list[Any]] = {role: [] for role in roles}
    try:
        for _, line in _lines(path, encoding):
            for role, value in _row(line, format, roles):
                values[role].append(value)
            if len(values[USER]) == _CHUNK:
                chunks.append({role: _series(column) for role, column in values.items()})
                values = {role: [] for role in roles}
    except _BadRecordError:
        return None
    chunks.append({role: _series(column) for role, column in values.items()})
    frame = pl.DataFrame({role: _joined([chunk[role] for chunk in chunks]) for role in roles})
    try:
        return (
            frame.with_columns(frame[TIMESTAMP].cast(pl.Int64)) if frame.schema.get(TIMESTAMP) == pl.String else frame
        )
    except pl.exceptions.PolarsError:  # dates
        return frame


def _row(line: str, format: str, roles: Mapping[str, Keys]) -> list[tuple[str, Any]]:
    """Return the value of each role in a line, None for all in a blank one.

    Raises:
        _BadRecordError: it is no record, has none of the keys, or a value is not what its role asks for.
    """
    if not line:
        return [(role, None) for role in roles]
    record = _record(line, format)
    row = [(role, _checked(role, _value(record, keys))) for role, keys in roles.items()]
    if all(value is None for _, value in row):
        keys = ", ".join(repr(".".join(keys)) for keys in roles.values())
        raise _BadRecordError("missing-value", f"the user is missing: there is none of the keys {keys}")
    return row


def _checked(role: str, value: Any) -> Any:
    """Return an id as text, a rating as number, a time as number or text, or None where it is missing."""
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, float) and not math.isfinite(value):
        raise _BadRecordError("not-a-number", f"expected a {_EXPECTED[role]} as {role}, found {value}")
    if isinstance(value, str):
        if not value.isascii() and re.search("[\ud800-\udfff]", value):
            found = shown(
                value.encode("utf-8", "surrogateescape" if _is_escaped(value) else "replace").decode("latin-1")
            )
            raise _BadRecordError("encoding", f"is not text in the encoding of the file: {found}; set encoding?")
        if role != RATING:
            return value
        try:
            if "_" not in value and math.isfinite(number := float(value)):
                return number
        except ValueError:
            pass
        raise _BadRecordError("not-a-number", f"expected a number as {role}, found {shown(value)}")
    if is_number and role in (RATING, TIMESTAMP):
        if abs(value) >= _BEYOND:
            raise _BadRecordError(
                "not-a-number", f"expected a number of at most 64 bits as {role}, found {shown(str(value))}"
            )
        return float(value) if role == RATING else value
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return str(int(value))
    if is_number and not isinstance(value, float):
        return str(value)
    raise _BadRecordError(
        "not-a-number" if role in (RATING, TIMESTAMP) else "record",
        f"expected a {_EXPECTED[role]} as {role}, found {shown(json.dumps(value, default=repr))}",
    )


_EXPECTED: Final = {
    USER: "text or an integer",
    ITEM: "text or an integer",
    RATING: "number",
    TIMESTAMP: "number or a date",
}


def _is_escaped(text: str) -> bool:
    return all("\udc80" <= character <= "\udcff" for character in re.findall("[\ud800-\udfff]", text))


def _series(values: list[Any]) -> pl.Series:
    """Return values as integers, else as numbers, else as text."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pl.Series(values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)


def _joined(columns: list[pl.Series]) -> pl.Series:
    """Return the parts of a column under one type."""
    import polars as pl

    types = [column.dtype for column in columns]
    kind = pl.String if pl.String in types else pl.Float64 if pl.Float64 in types else pl.Int64
    joined: pl.Series = pl.concat([column.cast(kind) for column in columns])
    return joined


def _faults(path: Path, encoding: str, format: str, roles: Mapping[str, Keys]) -> Iterator[RowFault]:
    for number, line in _lines(path, encoding):
        try:
            _row(line, format, roles)
        except _BadRecordError as error:
            yield RowFault(error.kind, number, str(error))
