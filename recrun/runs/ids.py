"""Write and read the original ids of a run's users and items: `ids.safetensors` in its folder.

A model numbers users and items from 0. The file says which original id each number stands for, so that a trained model
can be used where its data is not there any more, or has changed. It is written once, when a run begins, and names the
data that the numbers belong to by the hash that checkpoints hold too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from recrun.data.original_ids import as_utf8
from recrun.errors import CheckpointError
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import SPLIT
from recrun.runs.records import IDS_FILE, refuse_foreign

_KINDS: Final = {"i": "integers", "u": "integers", "U": "text"}


@dataclass(frozen=True, eq=False)
class Ids:
    """The original ids of a model's users and items.

    Args:
        users: of each user (U,): int64, or text.
        items: of each item (I,), likewise.
        data: the hash of the train, valid and test parts that the numbers belong to, or None if it is not known.
    """

    users: np.ndarray
    items: np.ndarray
    data: str | None

    def of(self, what: str) -> np.ndarray:
        """Return the ids of "user" or "item"."""
        return self.users if what == "user" else self.items


def kind_of_ids(ids: np.ndarray) -> str:
    """Return what ids are: "integers" or "text"."""
    return _KINDS.get(ids.dtype.kind, "text")


def ids_of_data(base: Any) -> Ids | None:
    """Return the ids of a data set, or None if it has no users and items with ids."""
    users, items = (getattr(base, name, None) for name in ("user_ids", "item_ids"))
    if users is None or items is None:
        return None
    hashes: Mapping[str, str] = getattr(base, "hashes", {})
    return Ids(_plain(np.asarray(users)), _plain(np.asarray(items)), hashes.get(SPLIT))


def write_ids(run: RunFolder, base: Any) -> None:
    """Write the ids of a run's data into its folder, unless they are there.

    Args:
        run: the run.
        base: its data set; nothing is written for one without ids.

    Raises:
        CheckpointError: they cannot be written, or the folder is that of another run by now.
    """
    file, ids = ids_file(run.path), ids_of_data(base)
    if ids is None or file.is_file():
        return
    run.require_own()
    save_checkpoint(file, {"data": ids.data, "users": _pack(ids.users), "items": _pack(ids.items)})


def read_ids(checkpoint: str | Path) -> Ids | None:
    """Return the ids that belong to a checkpoint: of its run, or in the folder it was copied to; None without any.

    Args:
        checkpoint: the checkpoint's file.

    Raises:
        CheckpointError: the file of the ids is damaged, or something else is in its place.
    """
    folder = Path(checkpoint).parent
    in_run = folder.parent.name == "checkpoints"
    file = ids_file(folder.parent.parent if in_run else folder)
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise CheckpointError(f"{file} is a link or no regular file; expected the ids of a run")
    if not file.is_file():
        return None
    if in_run:
        refuse_foreign(file.parent)
    content = load_checkpoint(file)
    data = content.get("data")
    if data is not None and not isinstance(data, str):
        raise CheckpointError(f"{file} is damaged: its hash of the data is no text")
    users, items = (_unpack(content.get(name), name, file) for name in ("users", "items"))
    return Ids(users, items, data)


def ids_file(folder: str | Path) -> Path:
    """Return the path of the file in a folder."""
    return Path(folder) / IDS_FILE


def _plain(ids: np.ndarray) -> np.ndarray:
    """Return ids as int64 or as numpy's text."""
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64, copy=False)
    return ids if ids.dtype.kind == "U" else np.array([str(each) for each in ids.tolist()], dtype=np.str_)


def _pack(ids: np.ndarray) -> Any:
    """Return ids as arrays that a checkpoint may hold: text as UTF-8 with the end of each."""
    if ids.dtype.kind == "i":
        return ids
    text, offsets = as_utf8(ids)
    return {"text": text.copy(), "ends": offsets[1:]}


def _unpack(packed: Any, name: str, file: Path) -> np.ndarray:
    try:
        ids = np.asarray(packed) if not isinstance(packed, Mapping) else _texts(packed)
        if ids.ndim != 1 or ids.dtype.kind not in "iU":
            raise ValueError("expected integers or text")
        if len(np.unique(ids)) < len(ids):
            raise ValueError("expected each once")
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{file} is damaged: its ids of {name} cannot be read: {error}") from None
    return ids


def _texts(packed: Mapping[str, Any]) -> np.ndarray:
    text, ends = (np.asarray(packed[name]) for name in ("text", "ends"))
    starts = np.concatenate(([0], ends[:-1]))
    if text.dtype != np.uint8 or ends.dtype != np.int64 or text.ndim != 1 or ends.ndim != 1:
        raise ValueError("expected bytes, and where each text ends")
    if (ends < starts).any() or (int(ends[-1]) if len(ends) else 0) != len(text):
        raise ValueError("the texts do not end where they should")
    joined = text.tobytes()
    found = [joined[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]
    return np.array(found, dtype=np.str_)
