"""Gather every value of lines of records into columns of text, for export."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl


def all_columns(records: Iterable[Mapping[str, Any]], rows: np.ndarray) -> pl.DataFrame:
    """Return every value of some records as text: numbers by their value, lists as JSON, null where a key is missing.

    Args:
        records: the values by column of every line of the file.
        rows: positions of those to be returned (n,).
    """
    import polars as pl

    columns: dict[str, list[str | None]] = {}
    wanted = np.unique(rows)
    remaining = iter(wanted.tolist())
    following, n_records = next(remaining, None), 0
    for place, record in enumerate(records):
        if place != following:
            continue
        for name, value in record.items():
            values = columns.setdefault(name, [])
            values.extend([None] * (n_records - len(values)))
            values.append(_as_text(value))
        following, n_records = next(remaining, None), n_records + 1
    whole = {name: [*values, *[None] * (n_records - len(values))] for name, values in columns.items()}
    return pl.DataFrame(whole, schema=dict.fromkeys(whole, pl.String))[np.searchsorted(wanted, rows)]


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=repr)
