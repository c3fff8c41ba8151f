"""Read a file as training does, and where training refuses rows of it, name them all and read the others."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from recrun.data.describe.layout import Sniffed
from recrun.data.describe.problems import Faults
from recrun.data.formats.columns.roles import RolesError
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.delimited import DIALECTS
from recrun.data.formats.find_bad_row import row_lines
from recrun.data.formats.opening import open_binary, read_binary
from recrun.data.formats.polars_files import read_parquet_columns
from recrun.data.formats.table import Table
from recrun.errors import DataError, RowFault

_ROUNDS: Final = 20
"""More than there are kinds of faults: a reader stops at the first kind, so that each round names another one."""
_SKIPPED: Final = {"blank-lines": "blank", "no-items": "a user without items"}


def read_sound_rows(sniffed: Sniffed, faults: Faults) -> tuple[Table | None, bool]:
    """Return the table of the rows that can be used, None when there are none, and whether training reads the file.

    The reader of the file's format is the only judge. Where it refuses rows, it reads a copy without them: each of
    their lines is blank there, so that the others keep their numbers.

    Args:
        sniffed: the file and its layout.
        faults: takes every fault that the reader names, with its lines.

    Raises:
        RolesError: columns without names hold something else than their positions say.
    """
    left_out: set[int] = set()
    extents = _Extents(sniffed)
    path, layout = sniffed.path, sniffed.layout
    with TemporaryDirectory(prefix="recrun-") as folder:
        for _ in range(_ROUNDS):
            try:
                table = read_table(sniffed.format, path, layout)
                if left_out:
                    table.line_of(0)  # The lines of rows are found once, and soon the copy will be gone.
                break
            except RolesError:
                raise
            except DataError as error:
                # Where the layout as a whole is refused already, the rows are not read as they are meant.
                rows = [] if faults.is_refused and not left_out else faults.add_error(error, left_out)
                for row in rows:
                    left_out.update(extents.of(row))
                if not rows or (sniffed.has_header and 1 in left_out):
                    return None, False
            path = Path(folder) / "rows"
            if sniffed.format == "parquet":
                _copy_parquet(sniffed, left_out, path)
            else:
                _copy_text(sniffed, left_out, path)
                layout = replace(layout, encoding="utf-8")
        else:
            return None, False
    for kind, lines in table.skipped.items():
        blank = [line for line in lines.tolist() if line not in left_out]
        faults.among(kind, len(blank), ((line, _SKIPPED[kind]) for line in blank))
    return replace(table, path=sniffed.path), not left_out


class _Extents:
    """The lines of each row of a file, of which there may be several where values are in quotes."""

    def __init__(self, sniffed: Sniffed) -> None:
        self._sniffed = sniffed

    @cached_property
    def _starts(self) -> np.ndarray | None:
        dialect = DIALECTS.get(self._sniffed.format)
        if dialect is None or not dialect.quoted:
            return None
        text = read_binary(self._sniffed.path).decode(self._sniffed.encoding, errors="replace")
        return row_lines(text.encode(), 0)

    def of(self, row: RowFault) -> range:
        """Return the lines of a row."""
        end = row.line + row.n_lines
        if self._starts is not None:
            place = int(np.searchsorted(self._starts, row.line, side="right"))
            end = max(end, int(self._starts[place]) if place < len(self._starts) else end)
        return range(row.line, end)


def _copy_text(sniffed: Sniffed, left_out: Collection[int], to: Path) -> None:
    """Write a text as UTF-8, with nothing in some of its lines."""
    with open_binary(sniffed.path) as stream, to.open("w", encoding="utf-8", newline="") as copy:
        text = io.TextIOWrapper(stream, encoding=sniffed.encoding, errors="replace", newline="\n")
        copy.writelines("\n" if number in left_out else line for number, line in enumerate(text, start=1))


def _copy_parquet(sniffed: Sniffed, left_out: Collection[int], to: Path) -> None:
    """Write the columns of a parquet file that are used, with nothing in some of its rows."""
    import polars as pl

    used = [sniffed.names[position] for position in sniffed.roles.values()]
    frame = read_parquet_columns(sniffed.path, None if sniffed.layout.selects else used)
    is_sound = pl.Series(np.isin(np.arange(1, frame.height + 1), list(left_out), invert=True))
    frame.select(pl.when(is_sound).then(pl.all())).write_parquet(to)
