"""Find the files of a folder or a pattern, and join what they hold to one table."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recrun.data.datasets.part_checks import refuse_unlike
from recrun.data.formats.table import Layout, Table, data_error
from recrun.data.formats.values.ids import checked_together, union_ids
from recrun.data.formats.values.times import check_times
from recrun.data.interactions import ITEM, TIMESTAMP, USER
from recrun.data.large.pieces import concatenate
from recrun.data.splits.rules import rank_within_user
from recrun.errors import DataError, RowFault

Read = Callable[[Path, Layout], Table]


def read_pieces(path: Path, pieces: Sequence[Path], read: Read, layout: Layout, format: str) -> Table:
    """Read several files as one table, in the order of their names.

    Args:
        path: the folder or pattern.
        pieces: its files.
        read: the reader of the format.
        layout: what is known about each file.
        format: its name.

    Raises:
        DataError: one of them cannot be read, they do not fit together, or none holds an interaction.
    """
    tables: list[Table] = []
    empty: list[str] = []
    for piece in pieces:
        try:
            tables.append(read(piece, layout))
        except DataError as error:
            if error.kind != "empty":
                raise
            empty.append(piece.name)
    if not tables:
        raise data_error(path, None, f"none of its {len(pieces)} files holds an interaction", kind="empty")
    notes = (
        [f"{path.name}: {len(empty):,} of {len(pieces):,} files hold no interactions: {empty[0]} ..."] if empty else []
    )
    return join_tables(path, tables, format, notes)


def join_tables(path: Path, tables: Sequence[Table], format: str, notes: Sequence[str] = ()) -> Table:
    """Return the rows of several files as one table.

    Args:
        path: the folder or pattern.
        tables: of the files, in order.
        format: the name of their format.
        notes: what is known already.

    Raises:
        DataError: they have different columns, or their ids or times do not go together.
    """
    for table in tables[1:]:
        _refuse_unlike(tables[0], table)
    whole = Table(path, union_ids([table.users for table in tables]), union_ids([table.items for table in tables]))
    refuse_unlike(tables, whole.users, whole.items)
    columns = {name: concatenate([table.columns[name] for table in tables]) for name in tables[0].columns}
    whole = replace(
        whole,
        columns=columns,
        pieces=tuple(tables),
        line_of=lambda row: whole.where(row)[1],
        time_is_order=tables[0].time_is_order,
        time_is_date=tables[0].time_is_date,
        time_has_zone=tables[0].time_has_zone,
    )
    told = _joined_notes([note for table in tables for note in table.notes])
    try:
        of_roles = ((USER, whole.users), (ITEM, whole.items))
        users, items = (checked_together(role, ids, path, lambda row: row) for role, ids in of_roles)
        if whole.time_is_order:
            _order(whole, tables, format)
            told.append(f"{path.name}: {len(tables)} files, in the order of their names")
        elif TIMESTAMP in columns:
            of_all = check_times(columns[TIMESTAMP], path, lambda row: row, are_dates=whole.time_is_date)
            told = [
                note for note in told if note.partition(": ")[2] not in {each.partition(": ")[2] for each in of_all}
            ]
            told += of_all
    except DataError as error:
        raise _relocated(error, whole) from None
    return replace(whole, users=users, items=items, notes=(*notes, *dict.fromkeys(told)))


def _refuse_unlike(first: Table, other: Table) -> None:
    mine, others = (table.names or tuple(table.columns) for table in (first, other))
    if mine != others:
        shown = [", ".join(names) or "none" for names in (mine, others)]
        message = (
            f"its columns ({shown[1]}) are not those of {first.path.name} ({shown[0]}); files read as one need the same"
        )
        raise data_error(other.path, None, message, "column")
    if set(first.columns) != set(other.columns) or first.time_is_date != other.time_is_date:
        shown = [
            "dates" if table.time_is_date else ", ".join(table.columns) or "no columns" for table in (first, other)
        ]
        message = f"it holds {shown[1]} where {first.path.name} holds {shown[0]}; files read as one need the same"
        raise data_error(other.path, None, message, "column")


def _order(whole: Table, tables: Sequence[Table], format: str) -> None:
    """Count each user's interactions through all files; the history of a user in `sequences` is in one of them."""
    if format == "sequences":
        piece_of = np.repeat(np.arange(len(tables)), list(map(len, tables)))
        first = np.full(len(whole.users.names), len(tables), dtype=np.int64)
        np.minimum.at(first, whole.users.codes, piece_of)
        again = np.flatnonzero(piece_of > first[whole.users.codes])
        if len(again):
            user = whole.users.names[whole.users.codes[again[0]]]
            other = tables[first[whole.users.codes[again[0]]]].path.name
            message = f"user {user} has a line in {other} too; the history of a user must stand in one line"
            raise data_error(whole.path, int(again[0]), message, "second-line")
    whole.columns[TIMESTAMP] = rank_within_user(whole.users.codes, len(whole.users.names)).astype(np.int64)


def _relocated(error: DataError, whole: Table) -> DataError:
    """Return an error whose line is a row of a table as one that names the file and its line."""
    if error.line is None:
        return error
    path, line = whole.where(error.line)

    def find() -> Iterator[RowFault]:
        for fault in error.rows():
            where, number = whole.where(fault.line)
            if where == path:
                yield fault._replace(line=number)

    return DataError(error.message, path=path, line=line, kind=error.kind, rows=find)


def _joined_notes(notes: Sequence[str]) -> list[str]:
    """Return the notes of several files, the same one of many only once."""
    names: dict[str, list[str]] = {}
    for note in notes:
        name, _, told = note.partition(": ")
        names.setdefault(told, []).append(name)
    return [f"{of[0]}{f' and {len(of) - 1} more files' if len(of) > 1 else ''}: {told}" for told, of in names.items()]


def are_many(path: Path) -> bool:
    """Return whether a path is a folder, or a pattern with * or ? or [...] rather than the name of a file."""
    return path.is_dir() or (not path.exists() and re.search(r"[*?[]", str(path)) is not None)


def find_pieces(path: Path) -> list[Path]:
    """Return the files of a folder or a pattern in the order of their names, without hidden ones and those with _.

    Raises:
        DataError: there are none, or folders among them.
    """
    if path.is_dir():
        found = list(path.iterdir())
    else:
        parts = path.parts
        start = next(i for i, part in enumerate(parts) if re.search(r"[*?[]", part))
        above = Path(*parts[:start])
        found = [above / name for name in glob.glob(str(Path(*parts[start:])), root_dir=above)]
    found = sorted(each for each in found if not each.name.startswith((".", "_")))
    folder = next((each for each in found if each.is_dir()), None)
    if folder is not None:
        if re.fullmatch(r"[^=]+=.*", folder.name):
            message = f"holds partitions such as {folder.name}/, whose names are a column that is not read"
            raise data_error(path, None, f"{message}; write the table without partitions", "not-data")
        raise data_error(path, None, f"holds the folder {folder.name}; name the files, such as {path.name}/*/*.csv")
    other = next((each for each in found if not each.is_file()), None)
    if other is not None:
        raise data_error(other, None, "is neither a regular file nor a link to one", "not-data")
    if not found:
        raise data_error(path, None, "there is no file in it" if path.is_dir() else "no file matches", "empty")
    return found


def refuse_repeated(pieces: Mapping[str, str]) -> None:
    """Refuse files to be read as one of which two have the same content.

    Args:
        pieces: the digest of the content of each file that holds interactions.

    Raises:
        DataError: there are two.
    """
    seen: dict[str, str] = {}
    for name, digest in pieces.items():
        other = seen.setdefault(digest, name)
        if other != name:
            raise DataError(f"{name} and {other} hold the same, and would be read as one table; remove one of them")
