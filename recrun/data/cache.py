"""Cache prepared data sets: folders of `.npy` files under a key made of everything they depend on.

An entry is built in a temporary folder and renamed into place, so that it is complete or absent even if several
processes build it at once. Nothing in it is ever executed: arrays are loaded without pickle, the rest is JSON. The
whole cache may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recrun.data.cache_folder import cache_folder
from recrun.files import from_json, open_regular, read_regular, to_json

SCHEMA = 1
"""The version of the preparation; increase it whenever the same files and options would be prepared differently."""

_DESCRIPTION = "entry.json"
_BUILDING = ".building-"
_MAX_DESCRIPTION = 1 << 28
_ABANDONED_AFTER = 86_400.0


@dataclass(frozen=True)
class Entry:
    """The content of one folder of the cache.

    Args:
        arrays: arrays by name; mapped from files when loaded, so that writing to them never reaches the file.
        facts: further values, of types that JSON can hold.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def entry_folder(name: str, made_from: Mapping[str, Any]) -> Path:
    """Return the folder of the data set made from `made_from`: hashes of file contents, and options (JSON)."""
    text = json.dumps({"schema": SCHEMA, **made_from}, sort_keys=True)
    return cache_folder() / "data" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def load(folder: Path) -> Entry | None:
    """Return an entry, or None if it is absent or damaged."""
    try:
        description = from_json(read_regular(folder / _DESCRIPTION, limit=_MAX_DESCRIPTION).decode("utf-8"))
        arrays = {name: _load_array(folder / Path(file).name) for name, file in description["arrays"].items()}
        return Entry(arrays, description["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store(folder: Path, entry: Entry) -> str | None:
    """Write an entry, replacing a damaged one; return None, or why it could not be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_BUILDING))
    except OSError as error:
        return _reason(error)
    try:
        files = {name: f"{number:02d}.npy" for number, name in enumerate(entry.arrays)}
        for name, file in files.items():
            np.save(building / file, entry.arrays[name], allow_pickle=False)
        description = {"arrays": files, "facts": entry.facts}
        (building / _DESCRIPTION).write_text(to_json(description), encoding="utf-8")
        _move_into_place(building, folder)
    except OSError as error:
        return _reason(error)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return None


def discard(folder: Path) -> None:
    """Remove an entry; for other processes it disappears at once."""
    try:
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_BUILDING))
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.replace(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def _load_array(path: Path) -> np.ndarray:
    open_regular(path).close()  # numpy would wait for a FIFO
    try:
        return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except ValueError:
        # An array without elements cannot be mapped.
        return np.asarray(np.load(path, allow_pickle=False))


def _move_into_place(building: Path, folder: Path) -> None:
    for attempts_left in reversed(range(20)):
        try:
            os.rename(building, folder)
            return
        except OSError:
            # Another process has stored the same content first, or a damaged entry is in the way and is removed. Other
            # processes may do the same between any two of these steps.
            if load(folder) is not None:
                return
            if not attempts_left:
                raise
            discard(folder)


def _sweep(parent: Path) -> None:
    """Remove the unfinished folders of processes that were killed."""
    for folder in parent.glob(f"{_BUILDING}*"):
        # Another process may remove it, or move it into place, at any moment.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)
