"""Read parquet files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from recrun.data.formats.columns.names import LABELS, find_columns
from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.columns.used import label_notes, unused_note
from recrun.data.formats.file_kinds import refuse_unless
from recrun.data.formats.from_frame import BLANK, frame_to_table, note_on_blank
from recrun.data.formats.polars_files import parquet_frames, parquet_types, read_parquet_columns
from recrun.data.formats.table import Layout, Origin, Table
from recrun.data.formats.values.ids import checked_together, union_ids
from recrun.data.formats.values.times import check_times
from recrun.data.interactions import ITEM, TIMESTAMP, USER
from recrun.data.large.pieces import concatenate
from recrun.errors import DataError
from recrun.registry import FORMATS

if TYPE_CHECKING:
    import polars as pl

_ROWS: Final = 1 << 23
"""About how many rows are held as polars reads them; larger files are read in parts."""


@FORMATS.register("parquet", extensions=(".parquet", ".pq"), without=("text", "encoding"))
def read_parquet(path: Path, layout: Layout) -> Table:
    """Read the columns of a parquet file that hold users, items, ratings and times; lines in messages are its rows."""
    import polars as pl

    refuse_unless(path, "parquet")
    types = parquet_types(path)
    names = list(types)
    positions = find_columns(path, names, layout)
    selection = Selection(path, layout, names)
    used = list(dict.fromkeys([*positions.values(), *selection.positions.values()]))
    unused = [name for place, name in enumerate(names) if place not in used]
    notes = unused_note(path, unused)
    labels = [name for name in unused if name.lower() in LABELS]
    if labels:
        of_labels = read_parquet_columns(path, labels)
        notes += label_notes(
            path, {name: of_labels[name].unique().to_list() for name in labels if not of_labels[name].dtype.is_nested()}
        )
    columns = {role: names[place] for role, place in positions.items()}
    if layout.selects:
        frame = read_parquet_columns(path, [names[place] for place in used])
        mask, told = selection.mask(frame.rename({names[place]: str(place) for place in used}), lambda row: row + 1)
        kept, notes, frame = np.flatnonzero(mask), [*notes, *told], frame.filter(mask)
        table = _table(frame, path, layout, columns, tuple(notes), kept)
    else:
        # How dates are written is told by all of them together.
        at_once = TIMESTAMP in columns and types[columns[TIMESTAMP]] == pl.String
        table = _in_parts(path, layout, columns, tuple(notes), at_once)
    origin = Origin(columns, lambda rows: read_parquet_columns(path)[rows], is_text=False)
    return replace(table, names=tuple(names), origin=origin)


def _table(
    frame: pl.DataFrame,
    path: Path,
    layout: Layout,
    columns: Mapping[str, str],
    notes: tuple[str, ...] = (),
    kept: np.ndarray | None = None,
    first_row: int = 0,
) -> Table:
    """Return the table of a frame.

    Args:
        frame: columns of the file, among them those with a role.
        path: the file.
        layout: what the user says about it.
        columns: the name of the column of each role.
        notes: what is known about the file already.
        kept: which rows of the file are in the frame; None for as many as it has.
        first_row: where these begin.
    """
    import polars as pl

    frame = frame.select(pl.col(name).alias(role) for role, name in columns.items())

    def explain() -> DataError | None:
        return None

    return frame_to_table(
        frame, path, 1 + first_row, explain, notes, time_format=layout.time_format, columns=columns, kept=kept
    )


def _in_parts(path: Path, layout: Layout, columns: Mapping[str, str], notes: tuple[str, ...], at_once: bool) -> Table:
    """Return the table of a file of any size; of a large one, no more than a part is held as polars reads it."""
    used = list(dict.fromkeys(columns.values()))
    frames = [read_parquet_columns(path, used)] if at_once else parquet_frames(path, used, _ROWS)
    tables: list[Table] = []
    starts: list[int] = []
    blank: list[np.ndarray] = []
    first_row, empty = 0, None
    for frame in frames:
        try:
            tables.append(_table(frame, path, layout, columns, notes, first_row=first_row))
            starts.append(first_row)
        except DataError as error:
            if error.kind != "empty":
                raise
            empty = error
            blank.append(np.arange(first_row + 1, first_row + 1 + frame.height))
        first_row += frame.height
    if not tables:
        assert empty is not None
        raise empty
    if first_row == frame.height:
        return tables[0]
    table = _joined(path, tables, starts)
    if blank:
        lines = np.sort(np.concatenate([*blank, table.skipped.get(BLANK, blank[0][:0])]))
        told = dict.fromkeys([*table.notes, note_on_blank(path)])
        table = replace(table, notes=tuple(told), skipped={**table.skipped, BLANK: lines})
    return table


def _joined(path: Path, tables: list[Table], starts: list[int]) -> Table:
    """Return the rows of parts of one file as one table.

    Args:
        path: the file.
        tables: of the parts, in order.
        starts: the first row of each in the file.
    """
    ends = np.cumsum([len(table) for table in tables])

    def line_of(row: int) -> int:
        place = int(np.searchsorted(ends, row, side="right"))
        return int(lines[place](row - int(ends[place] - lengths[place])))

    def file_rows(rows: np.ndarray) -> np.ndarray:
        places = np.searchsorted(ends, rows, side="right")
        found = np.empty(len(rows), dtype=np.int64)
        for place in np.unique(places).tolist():
            of_part = places == place
            found[of_part] = starts[place] + of_file[place](rows[of_part] - int(ends[place] - lengths[place]))
        return found

    lengths, lines, of_file = zip(*((len(each), each.line_of, each.file_rows) for each in tables), strict=True)
    users, items = (union_ids([getattr(each, name) for each in tables]) for name in ("users", "items"))
    users, items = (checked_together(role, ids, path, line_of) for role, ids in ((USER, users), (ITEM, items)))
    columns = {name: concatenate([each.columns[name] for each in tables]) for name in tables[0].columns}
    notes = dict.fromkeys(note for each in tables for note in each.notes)
    are_dates = tables[0].time_is_date
    if TIMESTAMP in columns:
        parts = [(each.columns[TIMESTAMP], each.line_of) for each in tables]
        told = {note for times, where in parts for note in check_times(times, path, where, are_dates=are_dates)}
        of_all = check_times(columns[TIMESTAMP], path, line_of, are_dates=are_dates)
        notes = dict.fromkeys([*(note for note in notes if note not in told), *of_all])
    skipped: dict[str, np.ndarray] = {}
    for each in tables:
        skipped |= {kind: np.concatenate([skipped.get(kind, rows[:0]), rows]) for kind, rows in each.skipped.items()}
    return Table(
        *(path, users, items, columns, line_of),
        time_is_date=are_dates,
        time_has_zone=tables[0].time_has_zone,
        notes=tuple(notes),
        skipped=skipped,
        file_rows=file_rows,
    )
