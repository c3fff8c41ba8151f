"""Check the tables that a data set which recrun did not write returns from `read`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from recrun.data.formats.table import Table
from recrun.data.interactions import RATING, TIMESTAMP, WEIGHT
from recrun.data.returned import described
from recrun.data.splits import PARTS
from recrun.errors import DataError

_WHOLE = "all"
_NUMBERS = (RATING, WEIGHT, TIMESTAMP)


def checked_tables(name: str, tables: Any) -> Mapping[str, Table]:
    """Return what `read` did, if it is tables of a data set.

    Args:
        name: of the data set.
        tables: what its `read` returned.

    Raises:
        DataError: it is no mapping of "all", or of "train", "test" and perhaps "valid", to tables; or a table has
            columns of different lengths, or times, ratings or weights that are no numbers.
    """
    where = f"{name}.read()"
    if not isinstance(tables, Mapping):
        raise DataError(
            f'{where} must return tables by part, such as {{"all": Table.of(...)}}; found {described(tables)}'
        )
    parts = set(tables)
    if parts != {_WHOLE} and not ("train" in parts and parts <= set(PARTS)):
        found = ", ".join(map(repr, tables)) or "nothing"
        raise DataError(f'{where} must return "all", or "train", "test" and perhaps "valid"; found {found}')
    for part, table in tables.items():
        if not isinstance(table, Table):
            raise DataError(f"{where} must return a Table under {part!r}; found {described(table)}")
        _check(f"{where}: {part!r}", table)
    return tables


def _check(where: str, table: Table) -> None:
    columns = {"users": table.users.codes, "items": table.items.codes, **table.columns}
    for name, values in columns.items():
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise DataError(f"{where}: {name} must be a numpy array of shape (N,); found {described(values)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise DataError(f"{where}: all columns must have one length; found {found}")
    for name in _NUMBERS:
        if name not in table.columns:
            continue
        values = table.columns[name]
        if values.dtype.kind not in "fiub":
            raise DataError(f"{where}: {name} must be numbers; found {values.dtype}")
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(f"{where}: {name} must be finite; found {values[bad[0]]} in row {bad[0]}, counted from 0")
