"""Turn a prepared data set into an entry of the cache, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from recrun.data import cache
from recrun.data.datasets.preparation import Prepared
from recrun.data.interactions import Interactions
from recrun.data.splits import GIVEN_PART, PARTS


def to_entry(prepared: Prepared, hashes: Mapping[str, str]) -> cache.Entry:
    """Return what is cached of a data set, with the hashes of what it was made from."""
    arrays = {"user_ids": prepared.user_ids, "item_ids": prepared.item_ids}
    for part, rows in prepared.parts.items():
        arrays |= {f"{part}/users": rows.users, f"{part}/items": rows.items}
        arrays |= {f"{part}/columns/{name}": values for name, values in rows.columns.items()}
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
    prepared = Prepared(parts, arrays["user_ids"], arrays["item_ids"], facts["shipped"], tuple(facts["notes"]))
    return prepared, dict(facts["hashes"])


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
