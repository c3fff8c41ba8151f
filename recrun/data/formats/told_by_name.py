"""Read a file of users and items whose format its name tells, without any settings."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS
from recrun.registry.conditions import format_told_by


def read_by_name(path: Path, *, also: Collection[str] = ()) -> Table:
    """Return the table of a file in any format of `recrun list formats` that its extension tells.

    Args:
        path: the file.
        also: further extensions that the caller reads itself, for the message.

    Raises:
        DataError: the name does not tell a format, or the file cannot be read.
    """
    format = format_told_by(path.name)
    if format is None:
        known = sorted({extension for each in FORMATS for extension in each.traits.extensions} | set(also))
        raise DataError(f"the name of {path} does not tell its format; let it end in one of: {', '.join(known)}")
    return read_table(format, path, Layout())
