"""Read parquet files."""

from __future__ import annotations

from pathlib import Path

from recrun.data.formats.column_names import find_columns
from recrun.data.formats.from_frame import frame_to_table
from recrun.data.formats.table import Layout, Table, data_error
from recrun.errors import DataError
from recrun.registry import FORMATS


@FORMATS.register("parquet", extensions=(".parquet", ".pq"))
def read_parquet(path: Path, layout: Layout) -> Table:
    """Read the columns of a parquet file that hold users, items, ratings and times; lines in messages are its rows."""
    import polars as pl

    try:
        names = list(pl.read_parquet_schema(path))
        positions = find_columns(path, names, layout)
        frame = pl.read_parquet(path, columns=[names[i] for i in positions.values()])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise data_error(
            path, None, f"is not a parquet file that can be read ({str(error).splitlines()[0]})"
        ) from error
    frame = frame.rename({names[i]: role for role, i in positions.items()})

    def explain() -> DataError | None:
        return None

    return frame_to_table(frame, path, 1, explain)
