"""The cache of prepared data sets: folders of `.npy` files under a key that names everything they were made from.

An entry is built in a folder of its own and renamed into place, so that it is there whole or not at all, whoever else
builds the same one. Nothing in it is ever executed: arrays are loaded without pickle, the rest is JSON. The whole cache
may be deleted at any time.
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

SCHEMA = 1
"""Raised whenever the same files and options would be prepared differently."""

_DESCRIPTION = "entry.json"
_BUILDING = ".building-"
_ABANDONED_AFTER = 86_400.0


@dataclass(frozen=True)
class Entry:
    """What one folder of the cache holds.

    Args:
        arrays: arrays by name; mapped from files when loaded, so that writing to them never reaches the file.
        facts: whatever JSON can hold.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


def cache_folder() -> Path:
    """Return where data is cached: $RECRUN_CACHE, else $XDG_CACHE_HOME/recrun, else ~/.cache/recrun."""
    if os.environ.get("RECRUN_CACHE"):
        return Path(os.environ["RECRUN_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "recrun"


def entry_folder(name: str, made_from: Mapping[str, Any]) -> Path:
    """Return the folder for a data set made from what `made_from` (JSON) says: contents' hashes and options."""
    text = json.dumps({"schema": SCHEMA, **made_from}, sort_keys=True)
    return cache_folder() / "data" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def load(folder: Path) -> Entry | None:
    """Return an entry, or None when there is none or it is damaged."""
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
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
        (building / _DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
        _move_into_place(building, folder)
    except OSError as error:
        return _reason(error)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return None


def discard(folder: Path) -> None:
    """Remove an entry, at once for everyone who looks for it."""
    try:
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_BUILDING))
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.replace(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def _load_array(path: Path) -> np.ndarray:
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
            # Another process was faster with the same content; what is there and damaged makes room. Others may do the
            # same between any two of these steps.
            if load(folder) is not None:
                return
            if not attempts_left:
                raise
            discard(folder)


def _sweep(parent: Path) -> None:
    """Remove what processes that were killed left half built."""
    for folder in parent.glob(f"{_BUILDING}*"):
        # Another process may remove it, or move it into place, at any moment.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER:
                shutil.rmtree(folder, ignore_errors=True)


def _reason(error: OSError) -> str:
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error.strerror or error)
