"""Turn a prepared data set into an entry of the cache, and back."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recrun.data import cache
from recrun.data.datasets.preparation import Preparation, Prepared
from recrun.data.datasets.settings import NewUsers, Sessions
from recrun.data.interactions import Interactions
from recrun.data.large import scratch
from recrun.data.splits import GIVEN_PART, PARTS
from recrun.errors import DataError
from recrun.files import sha256_file
from recrun.version import __version__


def to_entry(prepared: Prepared, hashes: Mapping[str, str]) -> cache.Entry:
    """Return what is cached of a data set, with the hashes of what it was made from."""
    arrays = {"user_ids": prepared.user_ids, "item_ids": prepared.item_ids}
    for part, rows in prepared.parts.items():
        arrays |= {f"{part}/users": rows.users, f"{part}/items": rows.items}
        arrays |= {f"{part}/columns/{name}": values for name, values in rows.columns.items()}
    if prepared.beginnings is not None:
        arrays["beginnings"] = prepared.beginnings
    return cache.Entry(
        arrays, {"hashes": dict(hashes), "shipped": dict(prepared.shipped), "notes": list(prepared.notes)}
    )


def from_entry(entry: cache.Entry) -> tuple[Prepared, dict[str, str]]:
    """Return a data set and its hashes, as they were cached.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: the entry is damaged.
    """
    arrays, parts = entry.arrays, {}
    for part in (*PARTS, *([GIVEN_PART] if f"{GIVEN_PART}/users" in arrays else [])):
        prefix = f"{part}/columns/"
        columns = {name[len(prefix) :]: values for name, values in arrays.items() if name.startswith(prefix)}
        parts[part] = Interactions(arrays[f"{part}/users"], arrays[f"{part}/items"], columns)
    facts = entry.facts
    if not _are_sound(facts["shipped"], facts["notes"], facts["hashes"]):
        raise ValueError("its facts are not what is written")
    ids, notes = (arrays["user_ids"], arrays["item_ids"]), tuple(facts["notes"])
    prepared = Prepared(parts, *ids, facts["shipped"], notes, arrays.get("beginnings"))
    return prepared, dict(facts["hashes"])


def put_in_cache(folder: Path, prepared: Prepared, hashes: Mapping[str, str]) -> tuple[Prepared, list[str]]:
    """Put a data set into a folder of the cache, and return it: a large one mapped from there, to free what held it.

    If it cannot be cached, there is a note for the user.
    """
    entry = to_entry(prepared, hashes)
    reason = cache.store(folder, entry)
    if reason:
        return prepared, [f"the data is not cached ({reason}); set RECRUN_CACHE to a folder that can be written"]
    is_large = any(values.nbytes >= scratch.LARGE for values in entry.arrays.values())
    stored = cache.load(folder) if is_large else None
    return (prepared if stored is None else from_entry(stored)[0]), []


def _are_sound(shipped: Any, notes: Any, hashes: Any) -> bool:
    counts, texts = list(shipped.values()), [*notes, *hashes, *hashes.values()]
    has_all = {"users", "items", "interactions"} <= shipped.keys()
    return has_all and all(type(count) is int for count in counts) and all(isinstance(text, str) for text in texts)


def digest(prepared: Prepared) -> str:
    """Return the SHA-256 of the parts and ids: equal exactly when models are trained and evaluated on the same rows."""
    digest = hashlib.sha256()
    for name, values in to_entry(prepared, {}).arrays.items():
        little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name} {little_endian.dtype.str} {little_endian.shape}\n".encode())
        digest.update(np.ascontiguousarray(little_endian).view(np.uint8).data)
    return digest.hexdigest()


def made_from(
    kind: type, settings: Mapping[str, Any], files: Mapping[str, Path], preparation: Preparation
) -> dict[str, Any]:
    """Return what determines the prepared data: the files' bytes, the settings, and the code that reads them.

    Settings of held-out users and of sessions are left out where there are none.

    Args:
        kind: the class of the data set.
        settings: its settings.
        files: the path of each file.
        preparation: how rows are filtered and split.
    """
    code = inspect.getsourcefile(kind)
    absent = {*Sessions.__annotations__} if not preparation.of_sessions else {"session_gap"}
    absent |= set() if preparation.find_split().new_users else {*NewUsers.__annotations__}
    absent -= set() if preparation.session_gap is None else {"session_gap"}
    return {
        "recrun": __version__,
        "files": {name: [path.suffix, sha256_file(path)] for name, path in files.items()},
        "settings": {key: value for key, value in settings.items() if key not in absent},
        "code": sha256_file(code) if code and Path(code).is_file() else "",
        **_code_of_split(preparation),
    }


def _code_of_split(preparation: Preparation) -> dict[str, str]:
    """Return the hash of a split's code that recrun's version does not identify: a user's own, or another package's."""
    module = getattr(preparation.find_split().function, "__module__", "")
    code = getattr(sys.modules.get(module), "__file__", None)
    if module.startswith("recrun.") or code is None or not Path(code).is_file():
        return {}
    return {"split_code": sha256_file(code)}


def states_of(files: Mapping[str, Path]) -> dict[str, tuple[int, int, int]]:
    """Return what changes when a file is written to or replaced: inode, size and time."""
    states = {name: path.stat() for name, path in files.items()}
    return {name: (state.st_ino, state.st_size, state.st_mtime_ns) for name, state in states.items()}


def refuse_changed(files: Mapping[str, Path], before: Mapping[str, tuple[int, int, int]]) -> None:
    """Refuse to use or cache files that changed while they were read."""
    after = states_of(files)
    changed = [str(path) for name, path in files.items() if after[name] != before[name]]
    if changed:
        raise DataError(f"{', '.join(changed)} changed while being read; start again when it is complete")
