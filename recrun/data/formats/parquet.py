"""Read parquet files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from recrun.data.formats.column_names import find_columns
from recrun.data.formats.file_kinds import refuse_unless
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.polars_files import parquet_names, read_parquet_columns
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS


@FORMATS.register("parquet", extensions=(".parquet", ".pq"))
def read_parquet(path: Path, layout: Layout) -> Table:
    """Read the columns of a parquet file that hold users, items, ratings and times; lines in messages are its rows."""
    refuse_unless(path, "parquet")
    names = parquet_names(path)
    positions = find_columns(path, names, layout)
    frame = read_parquet_columns(path, [names[position] for position in positions.values()])
    columns = {role: names[i] for role, i in positions.items()}
    frame = frame.rename({name: role for role, name in columns.items()})

    def explain() -> DataError | None:
        return None

    table = frame_to_table(frame, path, 1, explain, time_format=layout.time_format, columns=columns)
    return replace(table, names=tuple(names))
