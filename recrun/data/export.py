"""Export a data set, whole or as its parts and with original ids, to files that recrun and other tools can read."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recrun.data.export_columns import kept_repeats, reading_settings, refuse_unreadable, text_columns, to_inter
from recrun.data.formats.opening import COMPRESSIONS
from recrun.data.interactions import ITEM, RATING, TIMESTAMP, USER, WEIGHT, Interactions
from recrun.data.original_columns import Originals, read_originals
from recrun.data.splits import GIVEN_PART
from recrun.errors import DataError, unknown
from recrun.files import atomic_write

if TYPE_CHECKING:
    import polars as pl

    from recrun.data.datasets.base import RecDataSet
    from recrun.data.postprocessing.mode import Mode

ENDINGS: Final = {"csv": "csv", "parquet": "parquet", "inter": "inter", "lightgcn": "txt"}
"""The formats that can be written, and their file extensions."""

_ALSO: Final = {"csv": ("", ".txt", ".dat"), "parquet": (".pq",), "inter": (), "lightgcn": ("", ".dat")}
"""Further extensions, which a file may have whose format is given."""


def format_for(file: str | Path, format: str | None) -> str:
    """Return the format in which a file is to be written: the given one, else that of its extension.

    Raises:
        DataError: the extension is that of something else, or tells nothing.
    """
    ending = Path(file).suffix.lower()
    told = {f".{own}": each for each, own in ENDINGS.items() if own != "txt"}
    if ending in COMPRESSIONS[1:]:
        raise DataError(f"{file} would not be compressed, as its name says; leave {ending} out")
    if format is None:
        if ending not in told:
            endings = ", ".join(told)
            raise DataError(f"the name of {file} does not tell its format; end it in {endings}, or give --format")
        return told[ending]
    if ending not in (f".{ENDINGS[format]}", *_ALSO[format]):
        instead = f"--format {told[ending]}" if ending in told else f"a name that ends in .{ENDINGS[format]}"
        raise DataError(f"{file} does not end as {format} files do; give {instead}")
    return format


def write_parts(dataset: RecDataSet, folder: str | Path, format: str) -> dict[str, Any]:
    """Write train, valid and test into a new folder, which appears complete or not at all.

    Where users are held out, what is given of them is a part as well; the data set File does not read such parts.

    Empty parts get no file. Of data that was read from files with columns, every column is written as it is there;
    these files are read again before they appear, and have to hold the same parts.

    Args:
        dataset: the data set.
        folder: the folder to create.
        format: "csv", "parquet", "inter" (RecBole's benchmark files) or "lightgcn".

    Returns:
        "files" by part, "rows" by part, "left_out": the columns that the format cannot hold, and "settings": what else
        the data set File needs to read the same parts.

    Raises:
        DataError: the folder already exists or cannot be created, or the format cannot hold the values.
    """
    target = Path(folder)
    parts = {part: rows for part, rows in _parts(dataset).items() if len(rows)}
    names = {part: f"{part}.{_ending(format)}" for part in parts}
    if os.path.lexists(target):
        raise DataError(f"{target} already exists; choose a new folder")
    originals = read_originals(dataset, with_types=format in ("parquet", "inter"))
    frames = _frames(dataset, parts, originals, format)
    settings = _settings(dataset, frames["train"], originals, format)
    with _building(target) as building:
        for part, name in names.items():
            atomic_write(building / name, _content(frames[part], format))
        if originals is not None and format != "lightgcn":
            refuse_unreadable(dataset, {part: building / name for part, name in names.items()}, format, settings)
        os.rename(building, target)
    return {
        "files": {part: str(target / name) for part, name in names.items()},
        "rows": {part: len(rows) for part, rows in parts.items()},
        "left_out": _left_out(parts["train"], originals, format),
        "settings": settings | kept_repeats(dataset) | ({} if "valid" in parts else {"valid_ratio": 0}),
    }


def write_whole(dataset: RecDataSet, file: str | Path, format: str) -> dict[str, Any]:
    """Write the interactions of all parts into one new file, ordered by user, then time; see `write_parts`.

    Raises:
        DataError: the file already exists or cannot be written, or the format cannot hold the values.
    """
    import polars as pl

    target = Path(file)
    _ending(format)
    format_for(target, format)
    if os.path.lexists(target):
        raise DataError(f"{target} already exists; choose a new file")
    parts = {part: rows for part, rows in _parts(dataset).items() if len(rows)}
    originals = read_originals(dataset, with_types=format in ("parquet", "inter"))
    frames = _frames(dataset, parts, originals, format)
    settings = _settings(dataset, frames["train"], originals, format)
    users = np.concatenate([rows.users for rows in parts.values()])
    times = [rows.columns[TIMESTAMP] for rows in parts.values() if TIMESTAMP in rows.columns]
    order = np.lexsort((np.concatenate(times), users) if times else (users,))
    try:
        whole = pl.concat(frames.values(), how="diagonal_relaxed")[order]
    except pl.exceptions.PolarsError as error:
        raise DataError(f"the columns of the parts do not go together ({str(error).splitlines()[0]})") from error
    with _building(target) as building:
        atomic_write(building / target.name, _content(whole, format))
        if originals is not None and format != "lightgcn":
            refuse_unreadable(dataset, {"all": building / target.name}, format, settings)
        os.rename(building / target.name, target)
        building.rmdir()
    return {
        "files": {"all": str(target)},
        "rows": {"all": len(order)},
        "left_out": _left_out(parts["train"], originals, format),
        "settings": settings | kept_repeats(dataset),
    }


@contextmanager
def _building(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside the target, and remove it where something fails."""
    building = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
    try:
        building.mkdir(parents=True)
        yield building
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError):
            raise DataError(f"{target} cannot be written: {error.strerror}") from error
        raise


def _parts(dataset: RecDataSet) -> dict[str, Interactions]:
    if dataset.is_transformed:
        raise DataError(f"{dataset.name} holds encoded categories and scaled numbers, which cannot be exported")
    if dataset.beginnings is not None or dataset.preparation.session_gap is not None:
        raise DataError(
            "sessions that are made here (session_gap, or session_targets: each) cannot be exported: the files have no "
            "such users; export the data without them"
        )
    histories = [name for name, values in dataset.interactions("train").columns.items() if values.ndim > 1]
    if histories:
        raise DataError(f"{dataset.name} has several categories in a row ({histories[0]}), which cannot be exported")
    modes: tuple[Mode, ...] = ("train", "valid", "test")
    parts: dict[str, Interactions] = {mode: dataset.interactions(mode) for mode in modes}
    return parts if dataset.given() is None else {**parts, GIVEN_PART: dataset.interactions(GIVEN_PART)}


def _ending(format: str) -> str:
    if format not in ENDINGS:
        raise DataError(unknown("format", format, ENDINGS))
    return ENDINGS[format]


def _left_out(rows: Interactions, originals: Originals | None, format: str) -> list[str]:
    if format != "lightgcn":
        return []
    if originals is None:
        return sorted(rows.columns)
    return sorted(set(originals.frames["train"].columns) - {originals.roles[USER], originals.roles[ITEM]})


def _frames(
    dataset: RecDataSet, parts: Mapping[str, Interactions], originals: Originals | None, format: str
) -> dict[str, pl.DataFrame]:
    """Return what is written of each part."""
    import polars as pl

    if originals is None or format == "lightgcn":
        frames = {
            part: pl.DataFrame(
                {
                    USER: dataset.user_ids[rows.users],
                    ITEM: dataset.item_ids[rows.items],
                    **{name: np.asarray(values) for name, values in rows.columns.items()},
                }
            )
            for part, rows in parts.items()
        }
        roles = {name: name for name in (USER, ITEM, RATING, WEIGHT, TIMESTAMP)}
        return {part: to_inter(frame, frame, roles) for part, frame in frames.items()} if format == "inter" else frames
    if format == "parquet":
        return dict(originals.typed)
    frames = {part: text_columns(frame, originals.roles, format) for part, frame in originals.frames.items()}
    if format == "inter":
        return {part: to_inter(frame, originals.typed[part], originals.roles) for part, frame in frames.items()}
    return frames


def _settings(dataset: RecDataSet, frame: pl.DataFrame, originals: Originals | None, format: str) -> dict[str, Any]:
    if format == "lightgcn":
        return {"format": "lightgcn"}
    if originals is None:
        return {}
    return reading_settings(frame, originals, format)


def _content(frame: pl.DataFrame, format: str) -> bytes:
    """Return the bytes of a file."""
    import polars as pl

    buffer = io.BytesIO()
    if format == "parquet":
        frame.write_parquet(buffer)
    elif format == "csv":
        frame.write_csv(buffer)
    elif format == "inter":
        frame.write_csv(buffer, separator="\t", quote_style="never")
    else:
        for side in (USER, ITEM):
            if not frame[side].dtype.is_integer():
                raise DataError(f"lightgcn needs integer ids, and {side} ids are text; choose csv, parquet or inter")
        lines = frame.group_by(USER, maintain_order=True).agg(pl.col(ITEM).cast(pl.String).str.join(" "))
        lines.write_csv(buffer, separator=" ", include_header=False, quote_style="never")
    return buffer.getvalue()
