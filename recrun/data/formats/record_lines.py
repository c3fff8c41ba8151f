"""Parse the lines of files of records: JSON objects, or Python dicts of literals."""

from __future__ import annotations

import ast
import io
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from recrun.data.formats.file_kinds import kind_of, read_start, refuse_other_kinds, said_of
from recrun.data.formats.first_lines import LONGEST
from recrun.data.formats.opening import open_binary
from recrun.data.formats.table import data_error, shown

N_SAMPLED: Final = 1000
"""Records whose keys are taken for the columns of the file."""
Keys = tuple[str, ...]
"""The keys that lead to a value, one for each level of nesting."""


class BadRecordError(ValueError):
    """A line that cannot be used: the kind of its fault, and what is wrong."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)


def refuse_documents(path: Path, encoding: str, format: str) -> None:
    """Refuse a file whose beginning shows that it holds no record on each line.

    Raises:
        DataError: it is another kind of file, one JSON array, or a document over several lines.
    """
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


def lines_of(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
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
    except BadRecordError:
        raise
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "a number or nesting that is too large")
        raise BadRecordError("record", f"expected a JSON object, found {shown(line)} ({reason})") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        again = next(key for key in keys if keys.count(key) > 1)
        raise BadRecordError("record", f"the key {again!r} is there twice")
    return record


def _parse_python(line: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in texts
            tree = ast.parse(line, mode="eval")
            record = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise BadRecordError("record", f"expected a Python dict of literals, found {shown(line)}") from error
    if isinstance(record, dict) and isinstance(tree.body, ast.Dict) and len(record) < len(tree.body.keys):
        raise BadRecordError("record", f"a key is there twice: {shown(line)}")
    return record


_PARSERS: Final[Mapping[str, Callable[[str], Any]]] = {"jsonl": _parse_json, "pylines": _parse_python}


def parse_record(line: str, format: str) -> dict[str, Any]:
    """Return the record that a line of the format jsonl or pylines holds.

    Raises:
        BadRecordError: it holds none, or a key twice.
    """
    record = _PARSERS[format](line)
    if not isinstance(record, dict):
        raise BadRecordError("record", f"expected an object with keys on each line, found {shown(line)}")
    return record


def first_records(path: Path, encoding: str, format: str) -> Iterator[dict[str, Any]]:
    """Yield the sound ones among the first records of a file.

    Raises:
        DataError: the first line is no record.
    """
    n_good = 0
    for number, line in islice(lines_of(path, encoding), 2 * N_SAMPLED):
        if line and n_good < N_SAMPLED:
            try:
                yield parse_record(line, format)
                n_good += 1
            except BadRecordError as error:
                if not n_good:
                    raise data_error(path, number, str(error), error.kind) from error


def names_of(record: Mapping[str, Any], above: Keys = ()) -> dict[str, Keys]:
    """Return the name of each value of a record, and the keys that lead to it."""
    names: dict[str, Keys] = {}
    for key, value in record.items():
        keys = (*above, str(key))
        found = names_of(value, keys) if isinstance(value, dict) and len(keys) < 5 else {".".join(keys): keys}
        names |= {name: path for name, path in found.items() if name not in names or len(path) < len(names[name])}
    return names


def value_of(record: Any, keys: Keys) -> Any:
    """Return the value that keys lead to, None where there is none."""
    for key in keys:
        record = record.get(key) if isinstance(record, dict) else None
    return record
