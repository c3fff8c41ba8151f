"""Read lines of records: JSON lines, and the Python dicts that some older data sets are made of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.formats.columns.names import LABELS, find_columns
from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.columns.used import label_notes, unused_note
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.json_columns import all_columns
from recrun.data.formats.opening import check_encoding
from recrun.data.formats.record_lines import (
    N_SAMPLED,
    BadRecordError,
    Keys,
    first_records,
    lines_of,
    names_of,
    parse_record,
    refuse_documents,
    value_of,
)
from recrun.data.formats.table import Layout, Origin, Table, shown
from recrun.data.formats.values.numbers import remedy_for, remedy_for_missing
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER
from recrun.errors import DataError, RowFault
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import polars as pl

_CHUNK: Final = 1 << 16
_LARGEST_EXACT: Final = 2**53
_BEYOND: Final = 2**63
_MAX_LATE: Final = 10


@FORMATS.register("jsonl", extensions=(".jsonl", ".ndjson", ".json"), without=("text",))
def read_jsonl(path: Path, layout: Layout) -> Table:
    """Read JSON lines, an object on each; its keys are the columns, those of nested objects as `outer.inner`."""
    return _read(path, layout, "jsonl")


@FORMATS.register("pylines", without=("text",))
def read_pylines(path: Path, layout: Layout) -> Table:
    """Read a Python dict on each line (`{u'user': u'x'}`), as in the data of Steam; only literals, never code."""
    return _read(path, layout, "pylines")


def sample_records(path: Path, encoding: str, format: str) -> dict[str, list[Any]]:
    """Return the values of each column in the first records of a file.

    Raises:
        DataError: the file is no text, or one of the lines is no record.
    """
    refuse_documents(path, encoding, format)
    columns: dict[str, list[Any]] = {}
    for record in first_records(path, encoding, format):
        for name, keys in names_of(record).items():
            columns.setdefault(name, []).append(value_of(record, keys))
    return columns


def _read(path: Path, layout: Layout, format: str) -> Table:
    check_encoding(path, layout.encoding)
    refuse_documents(path, layout.encoding, format)
    names: dict[str, Keys] = {}
    records = list(first_records(path, layout.encoding, format))
    for record in records:
        names |= {name: keys for name, keys in names_of(record).items() if name not in names}
    found = list(names)
    positions = find_columns(path, found, layout)
    selection = Selection(path, layout, found)
    used = {*positions.values(), *selection.positions.values()}
    unused = [name for place, name in enumerate(found) if place not in used]
    labels = [name for name in unused if name.lower() in LABELS]
    notes = unused_note(path, unused)
    notes += label_notes(path, {name: [value_of(record, names[name]) for record in records] for name in labels})
    roles = {role: names[found[place]] for role, place in positions.items()}
    selecting = {str(place): names[found[place]] for place in selection.positions.values()}
    lines = _Lines(path, layout.encoding, format, roles, selecting, {key for record in records for key in record})
    frame, doubtful, late = lines.frame()
    if late:
        lacking = f"keys that the first {N_SAMPLED:,} records lack are not used"
        notes.append(f"{path.name}: {lacking}: {', '.join(late)} (line {next(iter(late.values()))})")
    kept = None
    if layout.selects:
        mask, told = selection.mask(frame.drop(*roles), lambda row: row + 1)
        kept, notes, frame = np.flatnonzero(mask), [*notes, *told], frame.filter(mask)
        if mask[doubtful].any():
            raise lines.error(mask)
    columns = {role: found[place] for role, place in positions.items()}
    table = frame_to_table(
        frame.select(*roles),
        path,
        1,
        lambda: None,
        tuple(notes),
        time_format=layout.time_format,
        columns=columns,
        kept=kept,
    )
    return replace(table, origin=Origin(columns, partial(_all_columns, path, layout.encoding, format)))


def _all_columns(path: Path, encoding: str, format: str, rows: np.ndarray) -> pl.DataFrame:
    """Return every column of some rows of a file, called by its keys."""
    records = (parse_record(line, format) if line else {} for _, line in lines_of(path, encoding))
    return all_columns(
        ({name: value_of(each, keys) for name, keys in names_of(each).items()} for each in records), rows
    )


@dataclass(frozen=True)
class _Lines:
    """The lines of a file, and what is read of them.

    Args:
        path: the file.
        encoding: of its text.
        format: jsonl or pylines.
        roles: the keys that lead to the value of each role.
        selecting: the keys of the columns that rows are selected by, if they are. A value that its role cannot have is
            at fault then only if its row is kept.
        known: the keys that the first records have.
    """

    path: Path
    encoding: str
    format: str
    roles: Mapping[str, Keys]
    selecting: Mapping[str, Keys]
    known: Set[str]

    def frame(self) -> tuple[pl.DataFrame, list[int], dict[str, int]]:
        """Return the columns of the file, blank lines as nulls; rows with a value that its role cannot have; new keys.

        Where rows are selected there is also a column "", which is true for records. Of the keys that are not known,
        the first ones are returned, each with its line.

        Raises:
            DataError: a line is at fault.
        """
        import polars as pl

        chunks: list[dict[str, pl.Series]] = []
        doubtful: list[int] = []
        late: dict[str, int] = {}
        columns = (*self.roles, *self.selecting, *([""] if self.selecting else []))
        values: dict[str, list[Any]] = {name: [] for name in columns}
        try:
            for number, line in lines_of(self.path, self.encoding):
                record = parse_record(line, self.format) if line else None
                if record is not None and not record.keys() <= self.known and len(late) < _MAX_LATE:
                    late |= {key: number for key in record if key not in self.known and key not in late}
                if self.selecting:
                    for name, keys in self.selecting.items():
                        values[name].append(_plain(value_of(record, keys), keys))
                    values[""].append(None if record is None else True)
                try:
                    row = _row(record, self.roles)
                except BadRecordError:
                    if not self.selecting:
                        raise
                    row = [(role, None) for role in self.roles]
                    doubtful.append(number - 1)
                for role, value in row:
                    values[role].append(value)
                if len(values[USER]) == _CHUNK:
                    chunks.append({name: _series(column) for name, column in values.items()})
                    values = {name: [] for name in columns}
        except BadRecordError:
            raise self.error(None) from None
        chunks.append({name: _series(column) for name, column in values.items()})
        return pl.DataFrame({name: _joined([chunk[name] for chunk in chunks]) for name in columns}), doubtful, late

    def error(self, kept: np.ndarray | None) -> DataError:
        """Return the error for the first line at fault, which names the others when asked; of the rows kept, if any."""
        faults = partial(self._faults, kept)
        first = next(faults())
        return DataError(first.message, path=self.path, line=first.line, kind=first.kind, rows=faults)

    def _faults(self, kept: np.ndarray | None) -> Iterator[RowFault]:
        for number, line in lines_of(self.path, self.encoding):
            try:
                record = parse_record(line, self.format) if line else None
                for keys in self.selecting.values():
                    _plain(value_of(record, keys), keys)
                if not self.selecting or (kept is not None and kept[number - 1]):
                    _row(record, self.roles)
            except BadRecordError as error:
                yield RowFault(error.kind, number, str(error))


def _row(record: dict[str, Any] | None, roles: Mapping[str, Keys]) -> list[tuple[str, Any]]:
    """Return the value of each role in a record, None for all where there is none.

    Raises:
        BadRecordError: it has none of the keys, or a value is not what its role asks for.
    """
    if record is None:
        return [(role, None) for role in roles]
    row = [(role, _checked(role, value_of(record, keys), keys)) for role, keys in roles.items()]
    if all(value is None for _, value in row):
        names = {role: ".".join(keys) for role, keys in roles.items()}
        told = f"the user is missing: there is none of the keys {', '.join(map(repr, names.values()))}"
        raise BadRecordError("missing-value", f"{told}{remedy_for_missing(USER, names[USER])}")
    return row


def _plain(value: Any, keys: Keys) -> Any:
    """Return a value that rows are selected by: nothing, true or false, a number, or text.

    Raises:
        BadRecordError: it is something else, or no text in the encoding of the file.
    """
    if isinstance(value, str):
        _refuse_damaged(value)
    elif isinstance(value, int) and not isinstance(value, bool) and not -_BEYOND <= value < _BEYOND:
        return str(value)
    elif value is not None and not isinstance(value, (bool, int, float)):
        found = shown(json.dumps(value, default=repr))
        raise BadRecordError("filter", f"rows cannot be selected by column {'.'.join(keys)!r}, which holds {found}")
    return value


def _checked(role: str, value: Any, keys: Keys) -> Any:
    """Return an id as text, a rating as number, a time as number or text, or None where it is missing."""
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRecordError("not-a-number", f"expected a {_EXPECTED[role]} as {role}, found {value}")
    if isinstance(value, str):
        _refuse_damaged(value)
        if role != RATING:
            return value
        if not value.strip():
            return None
        try:
            if "_" not in value and math.isfinite(number := float(value)):
                return number
        except ValueError:
            pass
        remedy = remedy_for(value, role, ".".join(keys))
        raise BadRecordError("not-a-number", f"expected a number as {role}, found {shown(value)}{remedy}")
    if is_number and role in (RATING, TIMESTAMP):
        if abs(value) >= _BEYOND:
            raise BadRecordError(
                "not-a-number", f"expected a number of at most 64 bits as {role}, found {shown(str(value))}"
            )
        return float(value) if role == RATING else value
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return str(int(value))
    if is_number and not isinstance(value, float):
        return str(value)
    raise BadRecordError(
        "not-a-number" if role in (RATING, TIMESTAMP) else "record",
        f"expected a {_EXPECTED[role]} as {role}, found {shown(json.dumps(value, default=repr))}",
    )


_EXPECTED: Final = {
    USER: "text or an integer",
    ITEM: "text or an integer",
    RATING: "number",
    TIMESTAMP: "number or a date",
}


def _refuse_damaged(text: str) -> None:
    if not text.isascii() and re.search("[\ud800-\udfff]", text):
        bytes_ = text.encode("utf-8", "surrogateescape" if _is_escaped(text) else "replace")
        found = shown(bytes_.decode("latin-1"))
        raise BadRecordError("encoding", f"is not text in the encoding of the file: {found}; set encoding?")


def _is_escaped(text: str) -> bool:
    return all("\udc80" <= character <= "\udcff" for character in re.findall("[\ud800-\udfff]", text))


def _series(values: list[Any]) -> pl.Series:
    """Return values as integers, else as numbers, else as true and false, else as text."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return pl.Series(values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    if kinds == {bool}:
        return pl.Series(values, dtype=pl.Boolean)
    texts = [str(value).lower() if isinstance(value, bool) else value for value in values]
    return pl.Series([None if value is None else str(value) for value in texts], dtype=pl.String)


def _joined(columns: list[pl.Series]) -> pl.Series:
    """Return the parts of a column under one type."""
    import polars as pl

    types = {column.dtype for column in columns if column.null_count() < len(column)}
    kind = (
        pl.Float64 if types == {pl.Int64, pl.Float64} else pl.String if len(types) > 1 else next(iter(types), pl.Int64)
    )
    joined: pl.Series = pl.concat([column.cast(kind) for column in columns])
    return joined
