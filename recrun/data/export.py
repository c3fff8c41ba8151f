"""Export a data set, whole or as its parts and with original ids, to files that recrun and other tools can read."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.interactions import RATING, TIMESTAMP, WEIGHT, Interactions
from recrun.errors import DataError, unknown
from recrun.files import atomic_write

if TYPE_CHECKING:
    import polars as pl

    from recrun.data.datasets.base import RecDataSet
    from recrun.data.postprocessing.mode import Mode

ENDINGS: Final = {"csv": "csv", "parquet": "parquet", "inter": "inter", "lightgcn": "txt"}
"""The formats that can be written, and their file extensions."""
_INTER: Final = {"user": "user_id:token", "item": "item_id:token", RATING: "rating:float", WEIGHT: "weight:float"}


def write_parts(dataset: RecDataSet, folder: str | Path, format: str) -> dict[str, Any]:
    """Write train, valid and test into a new folder, which appears complete or not at all.

    Empty parts get no file.

    Args:
        dataset: the data set.
        folder: the folder to create.
        format: "csv", "parquet", "inter" (RecBole's benchmark files) or "lightgcn".

    Returns:
        "files" by part, "rows" by part, "left_out": the columns that the format cannot hold.

    Raises:
        DataError: the folder already exists or cannot be created, or the format cannot hold the ids.
    """
    target = Path(folder)
    parts = {part: rows for part, rows in _parts(dataset).items() if len(rows)}
    names = {part: f"{part}.{_ending(format)}" for part in parts}
    if os.path.lexists(target):
        raise DataError(f"{target} already exists; choose a new folder")
    contents = {names[part]: _content(dataset, rows, format) for part, rows in parts.items()}
    building = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        building.mkdir(parents=True)
        for name, content in contents.items():
            atomic_write(building / name, content)
        os.rename(building, target)
    except OSError as error:
        shutil.rmtree(building, ignore_errors=True)
        raise DataError(f"{target} cannot be written: {error.strerror}") from error
    return {
        "files": {part: str(target / name) for part, name in names.items()},
        "rows": {part: len(rows) for part, rows in parts.items()},
        "left_out": _left_out(parts["train"], format),
    }


def write_whole(dataset: RecDataSet, file: str | Path, format: str) -> dict[str, Any]:
    """Write the interactions of all parts into one new file, ordered by user, then time; see `write_parts`.

    Raises:
        DataError: the file already exists or cannot be written, or the format cannot hold the ids.
    """
    target = Path(file)
    parts = list(_parts(dataset).values())
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    users, items = (np.concatenate([getattr(part, side) for part in parts]) for side in ("users", "items"))
    order = np.lexsort((columns[TIMESTAMP], users) if TIMESTAMP in columns else (users,))
    rows = Interactions(users[order], items[order], {name: values[order] for name, values in columns.items()})
    _ending(format)
    if os.path.lexists(target):
        raise DataError(f"{target} already exists; choose a new file")
    content = _content(dataset, rows, format)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, content)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror}") from error
    return {"files": {"all": str(target)}, "rows": {"all": len(rows)}, "left_out": _left_out(rows, format)}


def _parts(dataset: RecDataSet) -> dict[str, Interactions]:
    if dataset.is_transformed:
        raise DataError(f"{dataset.name} holds encoded categories and scaled numbers, which cannot be exported")
    modes: tuple[Mode, ...] = ("train", "valid", "test")
    return {mode: dataset.interactions(mode) for mode in modes}


def _ending(format: str) -> str:
    if format not in ENDINGS:
        raise DataError(unknown("format", format, ENDINGS))
    return ENDINGS[format]


def _left_out(rows: Interactions, format: str) -> list[str]:
    return sorted(rows.columns) if format == "lightgcn" else []


def _content(dataset: RecDataSet, rows: Interactions, format: str) -> bytes:
    """Return the bytes of a file."""
    import polars as pl

    columns: Mapping[str, Any] = {
        "user": dataset.user_ids[rows.users],
        "item": dataset.item_ids[rows.items],
        **{name: np.asarray(values) for name, values in rows.columns.items()},
    }
    frame = pl.DataFrame(dict(columns))
    buffer = io.BytesIO()
    if format == "parquet":
        frame.write_parquet(buffer)
    elif format == "csv":
        frame.write_csv(buffer)
    elif format == "inter":
        _refuse_blanks(frame)
        _as_inter(frame).write_csv(buffer, separator="\t", quote_style="never")
    else:
        for side in ("user", "item"):
            if not frame[side].dtype.is_integer():
                raise DataError(f"lightgcn needs integer ids, and {side} ids are text; choose csv, parquet or inter")
        lines = frame.group_by("user", maintain_order=True).agg(pl.col("item").cast(pl.String).str.join(" "))
        lines.write_csv(buffer, separator=" ", include_header=False, quote_style="never")
    return buffer.getvalue()


def _as_inter(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with its columns named as in RecBole's atomic files."""
    return frame.rename({name: _INTER.get(name, f"{name}:float") for name in frame.columns})


def _refuse_blanks(frame: pl.DataFrame) -> None:
    """Raise DataError if an id would break a line of a file without quotes."""
    for side in ("user", "item"):
        if not frame[side].dtype.is_integer() and frame[side].str.contains(r"[\t\n\r]").any():
            raise DataError(
                f"inter files have no quotes, and {side} ids contain tabs or line breaks; choose csv or parquet"
            )
