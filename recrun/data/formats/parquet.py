"""Read parquet files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from recrun.data.formats.columns.names import LABELS, find_columns
from recrun.data.formats.columns.select_rows import Selection
from recrun.data.formats.columns.used import label_notes, unused_note
from recrun.data.formats.file_kinds import refuse_unless
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns
from recrun.data.formats.table import Layout, Origin, Table
from recrun.errors import DataError
from recrun.registry import FORMATS


@FORMATS.register("parquet", extensions=(".parquet", ".pq"), without=("text", "encoding"))
def read_parquet(path: Path, layout: Layout) -> Table:
    """Read the columns of a parquet file that hold users, items, ratings and times; lines in messages are its rows."""
    import polars as pl

    refuse_unless(path, "parquet")
    names = parquet_names(path)
    positions = find_columns(path, names, layout)
    selection = Selection(path, layout, names)
    used = list(dict.fromkeys([*positions.values(), *selection.positions.values()]))
    frame = read_parquet_columns(path, [names[place] for place in used])
    unused = [name for place, name in enumerate(names) if place not in used]
    kept, notes = None, unused_note(path, unused)
    labels = [name for name in unused if name.lower() in LABELS]
    if labels:
        of_labels = read_parquet_columns(path, labels)
        notes += label_notes(
            path, {name: of_labels[name].unique().to_list() for name in labels if not of_labels[name].dtype.is_nested()}
        )
    if layout.selects:
        mask, told = selection.mask(frame.rename({names[place]: str(place) for place in used}), lambda row: row + 1)
        kept, notes, frame = np.flatnonzero(mask), [*notes, *told], frame.filter(mask)
    columns = {role: names[place] for role, place in positions.items()}
    frame = frame.select(pl.col(name).alias(role) for role, name in columns.items())

    def explain() -> DataError | None:
        return None

    table = frame_to_table(
        frame, path, 1, explain, tuple(notes), time_format=layout.time_format, columns=columns, kept=kept
    )
    origin = Origin(columns, lambda rows: read_parquet_columns(path)[rows], is_text=False)
    return replace(table, names=tuple(names), origin=origin)
