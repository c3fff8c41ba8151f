"""Find out how a file is laid out, and which settings make recrun read it so.

What a user set is kept; everything else is inferred from the file. Training does not guess: it goes by the settings and
the file's name alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recrun.data.datasets.file import format_of
from recrun.data.describe import guess_layout
from recrun.data.describe.file_type import Survey, guess_encoding, is_parquet, survey
from recrun.data.describe.guess_columns import choose_roles, take_roles
from recrun.data.describe.problems import REFUSE, SETTING, Faults
from recrun.data.formats.columns.names import COLUMN_KEYS, match_columns
from recrun.data.formats.columns.roles import ByPosition, RolesError
from recrun.data.formats.columns.sample_lines import guess_separator, split_head, split_line
from recrun.data.formats.delimited import DIALECTS, by_position, looks_like_header
from recrun.data.formats.file_kinds import kind_of, read_start, refuse_other_kinds
from recrun.data.formats.find_bad_row import TextShape
from recrun.data.formats.json_lines import sample_records
from recrun.data.formats.opening import check_encoding
from recrun.data.formats.polars_files import read_parquet_columns
from recrun.data.formats.table import Layout, shown
from recrun.data.interactions import RATING, WEIGHT
from recrun.errors import DataError
from recrun.registry.conditions import plain_name

LAYOUT_KEYS: Final = (
    *("separator", "header", "encoding", "escape", *COLUMN_KEYS.values()),
    *("time_format", "filter", "drop_missing"),
)
_INTEGERS: Final = ("lightgcn", "sequences")
_RECORDS: Final = ("jsonl", "pylines")
_BLOCKS: Final = ("netflix", "mind")


@dataclass
class Sniffed:
    """What is known of a file's layout.

    Args:
        path: the file.
        format: the name of its format.
        encoding: of the text; "" for parquet.
        separator: between columns; None for lines of integers and parquet.
        has_header: whether the first line holds names; None where there is no such question.
        names: of the columns, as written, or their numbers from 1.
        roles: the position of the column with each role.
        settings: the keys of the data set `File` that make it be read so, but for its path.
        alternatives: other ways to take the file, which it does not contradict.
        survey: the bytes of a text file, counted.
    """

    path: Path
    format: str
    encoding: str = ""
    separator: str | None = None
    has_header: bool | None = None
    names: list[str] = field(default_factory=list)
    roles: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    alternatives: list[str] = field(default_factory=list)
    survey: Survey | None = None

    @property
    def layout(self) -> Layout:
        """What the settings tell the format's reader, and nothing else."""
        return Layout(**{key: self.settings[key] for key in LAYOUT_KEYS if key in self.settings})

    def document(self) -> dict[str, Any]:
        """Return what is known as JSON can hold it."""
        called = {RATING: WEIGHT} if self.format == "triples" else {}
        names = {called.get(role, role): self.names[place] for role, place in self.roles.items()}
        return {
            "format": self.format,
            "encoding": self.encoding or None,
            "separator": self.separator,
            "header": self.has_header,
            "columns": self.names,
            "roles": names,
            "alternatives": self.alternatives,
        }


def sniff(path: Path, given: Mapping[str, Any], faults: Faults) -> Sniffed:
    """Find out how a file is laid out.

    Args:
        path: the file, plain or compressed.
        given: keys of `File` that a user set: format, separator, header, encoding, and names of columns.
        faults: takes what is odd about the file as a whole.

    Raises:
        DataError: it cannot be read, or is no table at all.
    """
    chosen = given.get("format")
    named = _format_by_name(path)
    settings = {key: value for key, value in given.items() if value is not None}
    if is_parquet(path) or "parquet" in (chosen, named):
        sniffed = Sniffed(path, "parquet", settings=settings)
        if "parquet" not in (chosen, named):
            sniffed.settings["format"] = "parquet"
            faults.add("format", "is a parquet file under another name")
        _sniff_parquet(sniffed, faults)
        return sniffed
    told = kind_of(read_start(path)).name
    kind = told if told in _RECORDS + _BLOCKS else ""
    refuse_other_kinds(path, reads=("utf-16", "utf-32", chosen or kind))
    found = survey(path)
    encoding = given.get("encoding") or guess_encoding(path, found)
    check_encoding(path, encoding)
    lines = [line for line in found.lines(encoding) if line.strip()]
    if not lines:
        raise DataError("is empty", path=path, kind="empty")
    sniffed = Sniffed(path, chosen or named or "csv", encoding, settings=settings, survey=found)
    _note_text(sniffed, lines, faults)
    if kind or sniffed.format in _RECORDS + _BLOCKS:
        _sniff_others(sniffed, chosen, named, kind, faults)
    elif sniffed.format in _INTEGERS or (chosen is None and named is None and _is_of_integers(lines)):
        _sniff_integers(sniffed, lines, chosen or named, faults)
    else:
        _sniff_table(sniffed, lines, chosen, named, faults)
    return sniffed


def _sniff_others(sniffed: Sniffed, chosen: str | None, named: str | None, kind: str, faults: Faults) -> None:
    """Find the columns of records, and say what else lines of no columns are."""
    sniffed.format = chosen or kind or sniffed.format
    if sniffed.format != (chosen or named):
        sniffed.settings["format"] = sniffed.format
        told = "does not tell its format" if named is None else f"says {named}"
        faults.add("format", f"the file's name {told}: {sniffed.format}")
    if sniffed.format in _RECORDS:
        columns = sample_records(sniffed.path, sniffed.encoding, sniffed.format)
        sniffed.names = list(columns)
        texts = [[str(value) for value in values if value is not None] for values in columns.values()]
        sniffed.roles = choose_roles(sniffed.names, texts, sniffed.layout, sniffed.settings, faults)


def _format_by_name(path: Path) -> str | None:
    try:
        return format_of(plain_name(path.name))
    except DataError:
        return None


def _note_text(sniffed: Sniffed, lines: Sequence[str], faults: Faults) -> None:
    found = sniffed.survey
    assert found is not None
    if found.has_mark:
        faults.add("byte-order-mark")
    if found.n_windows:
        faults.add("line-ends", count=found.n_windows)
    if "encoding" not in sniffed.settings and sniffed.encoding != "utf-8":
        sniffed.settings["encoding"] = sniffed.encoding
        faults.add("encoding", f"is not UTF-8 text; {sniffed.encoding} would fit", action=SETTING)


def _is_of_integers(lines: Sequence[str]) -> bool:
    """Return whether lines are `user item item ...`: integers between blanks, and not a table of few columns."""
    rows = [line.split() for line in lines]
    rows = [row for row in rows if all(token.isdecimal() for token in row)]
    if len(rows) < 0.8 * len(lines):
        return False
    (n_columns, n_rows), *_ = Counter(map(len, rows)).most_common(1)
    if n_rows < 0.95 * len(rows) or n_columns > 4:
        return True
    # As many columns in each line: a table, unless each line is another user's, who has so many items.
    columns = list(zip(*(row for row in rows if len(row) == n_columns), strict=True))
    if n_columns < 3 or any(guess_layout.are_times(column) for column in columns[2:]):
        return False
    return len(set(columns[0])) == n_rows


def _sniff_integers(sniffed: Sniffed, lines: Sequence[str], chosen: str | None, faults: Faults) -> None:
    sniffed.format = chosen or "lightgcn"
    if chosen is None:
        sniffed.settings["format"] = sniffed.format
        faults.add("format", "the file's name does not tell its format: lines of integers, `user item item ...`")
        sniffed.alternatives.append("format=sequences, if the items of each line stand in the order of time")
    if sniffed.encoding not in ("utf-8", "latin-1", "cp1252"):
        faults.add(
            "encoding", f"format {sniffed.format} is read from UTF-8 only; found {sniffed.encoding}", action=REFUSE
        )
    bad = sum(not all(token.isdecimal() for token in line.split()) for line in lines)
    separator = guess_layout.find_separator(lines)
    if bad > len(lines) // 2 and separator not in (None, " ", "\t"):
        message = f"format {sniffed.format} separates integers by blanks; the separator found is {separator!r}"
        faults.add("separator", f"{message} (format: csv?)", action=REFUSE)


def _sniff_table(sniffed: Sniffed, lines: Sequence[str], chosen: str | None, named: str | None, faults: Faults) -> None:
    given = sniffed.settings
    found = guess_layout.find_separator(lines)
    separator = given.get("separator") or found
    if separator is None:
        faults.add("separator", f"no separator cuts the lines into columns: {shown(lines[0])}", action=REFUSE)
        return
    cells = split_head(sniffed.path, lines[0], separator, '"' in lines[0])
    columns = guess_layout.columns_of(lines[1:] or lines, separator)
    header: bool = guess_layout.has_header(cells, columns) if given.get("header") is None else given["header"]
    if chosen is None:
        _choose_format(sniffed, named, separator, header, len(cells), columns, faults)
    dialect = DIALECTS[sniffed.format]
    if dialect.quoted and given.get("escape") is None and any('\\"' in line for line in lines):
        given["escape"] = "\\"
        faults.add("quotes", "quotes within values are escaped by a backslash", action=SETTING)
    if chosen is not None and dialect.separator is not None:
        separator = given.get("separator") or dialect.separator
    sniffed.separator, sniffed.has_header = separator, header
    first = split_line(lines[0], separator, dialect.quoted)
    if len(first) == 1:
        message = f"with separator {separator!r} there is one column"
        message += f"; the separator found is {found!r}" if found is not None else f": {shown(lines[0])}"
        faults.add("separator", message, action=REFUSE)
        return
    taken = given.get("separator") or dialect.separator or guess_separator(lines[0])
    if taken != separator:
        faults.add("separator", f"the separator found is {separator!r}; {taken!r} would be taken")
        given["separator"] = separator
    known = next((each for each in (given.get("header"), dialect.header) if each is not None), looks_like_header(first))
    if known != header:
        kind = "a header row" if header else "no header row"
        faults.add("header", f"there is {kind}, and another would be taken: {shown(', '.join(first))}")
        given["header"] = header
    if dialect.n_columns not in (None, len(first)):
        faults.add("column", f"format {sniffed.format} has {dialect.n_columns} columns; found {len(first)}")
    _sniff_columns(sniffed, first, lines[1:] if header else lines, faults)


def _sniff_columns(sniffed: Sniffed, first: list[str], lines: Sequence[str], faults: Faults) -> None:
    columns = guess_layout.columns_of(lines, str(sniffed.separator)) if lines else []
    if len(columns) != len(first):
        columns = [[] for _ in first]
    if sniffed.has_header:
        sniffed.names = first
        sniffed.roles = choose_roles(first, columns, sniffed.layout, sniffed.settings, faults)
        return
    sniffed.names = [str(place) for place in range(1, len(first) + 1)]
    try:
        _check_positions(sniffed)
    except RolesError as error:
        take_roles(error, sniffed.settings, faults)
    layout = by_position(sniffed.layout, DIALECTS[sniffed.format], len(first))
    sniffed.roles = choose_roles(sniffed.names, columns, layout, sniffed.settings, faults)


def _check_positions(sniffed: Sniffed) -> None:
    """Refuse columns without names whose values contradict their positions, as training does."""
    dialect, layout = DIALECTS[sniffed.format], sniffed.layout
    named = [role for role, key in COLUMN_KEYS.items() if getattr(layout, key) is not None]
    roles, problems = match_columns(sniffed.names, by_position(layout, dialect, len(sniffed.names)))
    if not problems:
        separator = str(sniffed.separator)
        shape = TextShape(separator, False, dialect.quoted, sniffed.encoding, len(sniffed.names), roles)
        ByPosition(sniffed.path, shape, named, is_fixed=dialect.n_columns is not None).check_sample()


def _choose_format(
    sniffed: Sniffed,
    named: str | None,
    separator: str,
    header: bool,
    n_columns: int,
    columns: Sequence[Sequence[str]],
    faults: Faults,
) -> None:
    """Take the format that the name tells if the file can be of it, else the one that the file tells."""
    is_quoted = any('"' in value for column in columns for value in column)
    natural = "tsv" if separator == "\t" and not is_quoted else "csv"
    if natural == "tsv" and not header and n_columns == len(columns) == 4 and _is_udata(columns):
        natural = "udata"
    if named is not None:
        dialect = DIALECTS[named]
        if dialect.separator in (None, separator) and dialect.header in (None, header):
            sniffed.format = named
            return
        found = f"separator {separator!r}, {'with' if header else 'without'} a header row"
        faults.add("format", f"is not what its name says ({named}): {found}")
    else:
        if len(columns) == n_columns == 3 and not header and _are_weights(columns[2]):
            natural = "triples"
        faults.add("format", f"the file's name does not tell its format: {natural}")
        if n_columns == 2 and not header and separator in (" ", "\t"):
            sniffed.alternatives.append("format=pairs, if each user's lines stand in the order of time")
    sniffed.format = sniffed.settings["format"] = natural


def _is_udata(columns: Sequence[Sequence[str]]) -> bool:
    """Return whether four columns are user, item, rating, timestamp."""
    ratings, times = columns[2:]
    return guess_layout.are_times(times) and guess_layout.are_numbers(ratings) and not guess_layout.are_times(ratings)


def _are_weights(values: Sequence[str]) -> bool:
    """Return whether a column holds counts rather than ratings or times."""
    is_count = guess_layout.are_integers(values) and not guess_layout.are_times(values)
    return is_count and any(len(value.strip()) > 2 for value in values)


def _sniff_parquet(sniffed: Sniffed, faults: Faults) -> None:
    head = read_parquet_columns(sniffed.path, n_rows=1000)
    sniffed.names = head.columns
    columns = [[str(value) for value in head[name].to_list() if value is not None] for name in head.columns]
    sniffed.roles = choose_roles(sniffed.names, columns, sniffed.layout, sniffed.settings, faults)
