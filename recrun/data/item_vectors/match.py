"""Match vectors in files to the items of a data set, by original ids.

Shapes: R rows of a file, D numbers in a vector, I items of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recrun.data.datasets.cached import refuse_changed, states_of
from recrun.data.formats.table import data_error
from recrun.data.item_vectors.files import VectorFile, open_vectors
from recrun.errors import DataError
from recrun.files import sha256_file
from recrun.vector_files import fault_of, ids_beside, vectors_called

_SHOWN = 5


@dataclass(frozen=True)
class ItemVectors:
    """Vectors of a data set's items.

    Args:
        arrays: float32 (I, D) by name, rows by internal id.
        hashes: the SHA-256 of each file by its path, as it was given.
        notes: what a user should know.
    """

    arrays: Mapping[str, np.ndarray]
    hashes: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def digests(paths: Sequence[str], root: str | Path) -> dict[str, str]:
    """Return the SHA-256 of each file of vectors, and of each file of ids beside one, by its path below `root`.

    Raises:
        DataError: one cannot be read.
    """
    return {name: _digest(path) for name, path in _files(paths, root).items()}


def read_item_vectors(paths: Sequence[str], root: str | Path, item_ids: np.ndarray) -> ItemVectors:
    """Read the vectors of a data set's items; rows of other items are passed over.

    Args:
        paths: the files, relative to `root`.
        root: the folder that paths begin at.
        item_ids: the original id of each item (I,).

    Raises:
        DataError: a file is not there or malformed, has two rows for an item or none, or a number that is not finite.
    """
    fault = fault_of(paths)
    if fault is not None:
        raise DataError(f"item_vectors: {fault[1]}")
    hashes, files = digests(paths, root), _files(paths, root)
    before = states_of(files)
    arrays: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for path in paths:
        arrays[vectors_called(path)], told = _matched(open_vectors(files[path]), item_ids)
        notes += told
    refuse_changed(files, before)
    return ItemVectors(arrays, hashes, notes)


def own_vectors(dataset: str, found: Mapping[str, np.ndarray], n_items: int) -> ItemVectors:
    """Return vectors that a data set brings itself.

    Raises:
        DataError: they are not numbers, one row for each item, all finite.
    """
    arrays = {}
    for name, vectors in found.items():
        array = np.asarray(vectors)
        if array.dtype.kind not in "fiub" or array.ndim != 2 or len(array) != n_items or not array.size:
            told = f"expected numbers of shape ({n_items}, D), found {array.dtype} of shape {array.shape}"
            raise DataError(f"own_item_vectors of {dataset}: {name}: {told}")
        arrays[str(name)] = array.astype(np.float32, copy=False)
        if not np.isfinite(arrays[str(name)]).all():
            raise DataError(f"own_item_vectors of {dataset}: {name}: there are numbers that are not finite in 32 bits")
    return ItemVectors(arrays)


def _files(paths: Sequence[str], root: str | Path) -> dict[str, Path]:
    folder = Path(root).expanduser()
    return {name: folder / Path(name).expanduser() for path in paths for name in _with_ids(path)}


def _with_ids(path: str) -> Iterator[str]:
    yield path
    beside = ids_beside(path)
    if beside is not None:
        yield beside


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        what = "the ids of the rows of a .npy file, a line for each" if path.suffix == ".ids" else "vectors of items"
        raise DataError(f"cannot read {path}, {what} (item_vectors): {error.strerror or error}") from None


def _matched(file: VectorFile, item_ids: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return the vectors (I, D) of all items, float32, and notes."""
    import polars as pl

    ids = file.ids
    twice = ids.is_null() | ids.is_duplicated()
    if twice.any():
        row = (
            int(ids.is_null().arg_max() or 0) if ids.is_null().any() else int((~ids.is_first_distinct()).arg_max() or 0)
        )
        message = "the id is missing" if ids[row] is None else f"the item {ids[row]!r} has a row already"
        raise data_error(file.path, row + 1, message)
    items = pl.Series("id", item_ids.tolist()).cast(pl.String)
    rows = pl.DataFrame({"id": ids, "row": np.arange(len(ids))})
    places = pl.DataFrame({"id": items}).join(rows, on="id", how="left", maintain_order="left")["row"]
    missing = items.filter(places.is_null())
    if len(missing):
        shown = ", ".join(missing.head(_SHOWN).to_list()) + (", ..." if len(missing) > _SHOWN else "")
        message = f"{len(missing):,} of the {len(items):,} items of the data have no row: {shown}; give each one a row"
        raise data_error(file.path, None, f"{message}, or leave rare items out by min_item_interactions")
    found = file.rows(places.to_numpy())
    finite = np.isfinite(found).all(axis=1)
    if not finite.all():
        n_wrong, row = int((~finite).sum()), int(places[int(finite.argmin())])
        told = (
            f"the vector of the item {items[int(finite.argmin())]!r} is not finite in 32 bits ({n_wrong:,} such items)"
        )
        raise data_error(file.path, row + 1, told)
    n_others = len(ids) - len(items)
    notes = [f"{file.path.name}: {n_others:,} of its {len(ids):,} rows are of items that the data has not"]
    return found, notes if n_others else []
