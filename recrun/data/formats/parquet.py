"""Read parquet files."""

from __future__ import annotations

from pathlib import Path

from recrun.data.formats.column_names import find_columns, unused_note
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS


@FORMATS.register("parquet", extensions=(".parquet", ".pq"))
def read_parquet(path: Path, layout: Layout) -> Table:
    """Read the columns of a parquet file that hold users, items, ratings and times; lines in messages are its rows."""
    names = parquet_names(path)
    positions = find_columns(path, names, layout)
    frame = read_parquet_columns(path, [names[position] for position in positions.values()])
    frame = frame.rename({names[i]: role for role, i in positions.items()})

    def explain() -> DataError | None:
        return None

    notes = unused_note(path, [name for place, name in enumerate(names) if place not in positions.values()])
    return frame_to_table(frame, path, 1, explain, tuple(notes))
