"""Read a table of users or items: an id and columns of text, of which one value or several belong to each id."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recrun.data.datasets.source_files import EntityFile, find_file
from recrun.data.formats.columns.names import recognised
from recrun.data.formats.columns.sample_lines import guess_separator
from recrun.data.formats.delimited import looks_like_header
from recrun.data.formats.opening import ending_of, read_binary
from recrun.data.formats.polars_files import read_parquet_columns
from recrun.data.formats.table import data_error
from recrun.data.formats.values.numbers import MISSING_WORDS, is_number
from recrun.errors import DataError
from recrun.group_name import Of
from recrun.metrics.groups import MISSING

if TYPE_CHECKING:
    from recrun.data.datasets.base import RecDataSet

SEVERAL: Final = "|"
"""What separates the values of a cell that has several."""
_SPACED: Final = re.compile(r":(token|float)_seq$")
"""The end of the name of a RecBole column whose values are separated by spaces."""


@dataclass(frozen=True)
class Entities:
    """A table of users or items.

    Args:
        path: the file.
        ids: the id of each row, each once.
        columns: for each column the values of each row; none where they are missing.
    """

    path: Path
    ids: Sequence[str]
    columns: dict[str, list[tuple[str, ...]]] = field(repr=False)


def find_entities(dataset: RecDataSet, of: Of, chosen: str | None, root: str | Path) -> Entities | None:
    """Read the table of a data set's users or items; None if there is none.

    Args:
        dataset: the data set.
        of: "user" or "item".
        chosen: the value of `user_file` or `item_file`; None for the table that the data set itself knows.
        root: the folder that paths begin at.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if chosen is not None:
        wanted = Path(root).expanduser() / Path(chosen).expanduser()
        path = find_file(wanted)
        if path is None:
            raise DataError(f"there is no file {wanted}, which {of}_file names")
        return read_entities(path, of, EntityFile(path.name))
    known = dataset.entity_files.get(of)
    if known is None or not dataset.files:
        return None
    path = find_file(next(iter(dataset.files.values())).parent / known.name)
    return None if path is None else read_entities(path, of, known)


def read_entities(path: Path, of: Of, file: EntityFile) -> Entities:
    """Read a table; the id is the column that is named as one, else the first.

    A cell with several values separates them by `|`; a column of RecBole's type `token_seq` by spaces; in parquet it
    may be a list.

    Args:
        path: a text with a header row, plain or compressed, or parquet.
        of: "user" or "item".
        file: what is known of it.

    Raises:
        DataError: it is not such a table, or has an id twice.
    """
    names, rows = _read_parquet(path) if ending_of(path) == ".parquet" else _read_text(path, file)
    bare = [re.sub(r":(token|float)(_seq)?$", "", name).strip() for name in names]
    twice = next((name for name in bare if name and bare.count(name) > 1), None)
    if twice is not None:
        raise data_error(path, 1, f"two columns are called {twice!r}")
    is_id = recognised(of, bare)
    place = is_id[0] if is_id else 0
    ids = [_text(row[place]) for row in rows]
    _refuse_twice(path, ids)
    columns = {
        name: _known([_values(row[position], " " if _SPACED.search(names[position]) else SEVERAL) for row in rows])
        for position, name in enumerate(bare)
        if name and position != place
    }
    name, values = file.marks
    if name:
        first = len(names)
        columns[name] = [
            tuple(value for value, mark in zip(values, row[first:], strict=True) if mark == "1") for row in rows
        ]
    return Entities(path, ids, columns)


def _read_text(path: Path, file: EntityFile) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        text = read_binary(path).decode(file.encoding)
    except UnicodeDecodeError as error:
        raise data_error(path, None, f"is not text in UTF-8 (byte {error.start + 1}); convert it") from None
    first = text.split("\n", 1)[0].rstrip("\r")
    of_tabs = ending_of(path) in (".tsv", ".user", ".item") and "\t" in first
    separator = file.separator or ("\t" if of_tabs else guess_separator(first))
    quoted = not (file.columns or of_tabs)
    lines: list[tuple[int, list[str]]] = []
    if len(separator) > 1 or not quoted:
        # Not splitlines(), which also cuts at characters that a title may hold.
        numbered = enumerate(text.split("\n"), 1)
        lines = [(number, line.rstrip("\r").split(separator)) for number, line in numbered if line.strip()]
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        try:
            lines = [(reader.line_num, row) for row in reader if row]
        except csv.Error as error:
            raise data_error(path, reader.line_num, f"cannot be read as a table ({error})") from None
    if not file.columns:
        if not lines or not looks_like_header(lines[0][1]):
            raise data_error(path, 1, "its first line must name the columns")
        names, lines = lines[0][1], lines[1:]
    else:
        names = list(file.columns)
    n_columns = len(names) + len(file.marks[1])
    for number, row in lines:
        if len(row) != n_columns:
            raise data_error(path, number, f"expected {n_columns} columns, as in its head, found {len(row)}")
    return names, [row for _, row in lines]


def _read_parquet(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    frame = read_parquet_columns(path)
    return list(frame.columns), list(frame.iter_rows())


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _values(cell: Any, separator: str) -> tuple[str, ...]:
    """Return the distinct values of a cell, in order; none if it is empty."""
    parts = cell if isinstance(cell, (list, tuple)) else _text(cell).split(separator)
    return tuple(dict.fromkeys(text for part in parts if (text := _text(part))))


def _known(column: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the values of each cell of a column without words for a missing one.

    Beside numbers, all such words are; in a column of text, `NA` may be Namibia.
    """
    texts = {text for values in column for text in values}
    words = {text for text in texts if text.lower() in MISSING_WORDS}
    unknown = words | {MISSING} if all(map(is_number, texts - words)) else {MISSING}
    return [tuple(text for text in values if text not in unknown) for values in column] if texts & unknown else column


def _refuse_twice(path: Path, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise DataError(f"{path}: id {each!r} is there twice; each must have one row")
        seen.add(each)
