"""Write vectors and weights as parquet tables with original ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from recrun.exporting.material import Material, refuse_too_many
from recrun.exporting.written import Request, Written

LOAD_VECTORS: Final = """\
import numpy as np
import polars as pl

items = pl.read_parquet("item_vectors.parquet")
data = {"item_ids": items["item"].to_numpy(), "item_vectors": items["vector"].to_numpy()}
"""
LOAD_USERS: Final = """\
users = pl.read_parquet("user_vectors.parquet")
data |= {"user_ids": users["user"].to_numpy(), "user_vectors": users["vector"].to_numpy()}
"""
LOAD_WEIGHTS: Final = """\
import numpy as np
import polars as pl

items, table = pl.read_parquet("items.parquet"), pl.read_parquet("item_weights.parquet")
data = {"item_ids": items["item"].to_numpy()}
data["weights_indptr"] = np.searchsorted(table["item_index"].to_numpy(), np.arange(len(items) + 1))
data["weights_indices"], data["weights_values"] = table["neighbor_index"].to_numpy(), table["weight"].to_numpy()
"""
LOAD_OFFSETS: Final = 'data["offsets"] = items["offset"].to_numpy()\n'
LOAD_SEEN: Final = """\
seen = pl.read_parquet("seen.parquet")
data["seen_items"] = seen["item_index"].to_numpy()
data["seen_indptr"] = np.searchsorted(seen["user_index"].to_numpy(), np.arange(len(data["user_ids"]) + 1))
"""


def write(material: Material, folder: Path, request: Request) -> Written:
    """Write `item_vectors.parquet` and `user_vectors.parquet`, or `item_weights.parquet`."""
    frames: dict[str, pl.DataFrame] = {}
    if material.weights is not None:
        refuse_too_many(material.weights, material.model)
        frames["item_weights.parquet"] = _weights(material.item_ids, material.weights.matrix)
    if material.vectors is not None:
        frames["item_vectors.parquet"] = _vectors("item", material.item_ids, material.vectors.items_ID)
        if material.vectors.users_UD is not None:
            frames["user_vectors.parquet"] = _vectors("user", material.user_ids, material.vectors.users_UD)
    for name, frame in frames.items():
        frame.write_parquet(folder / name)
    return Written(tuple(frames))


def _vectors(kind: str, ids: NDArray[Any], vectors: NDArray[Any]) -> pl.DataFrame:
    index = np.arange(len(ids), dtype=np.int32)
    return pl.DataFrame([pl.Series("index", index), pl.Series(kind, ids), _fixed_lists("vector", vectors)])


def _fixed_lists(name: str, vectors: NDArray[Any]) -> pl.Series:
    flat = pl.Series(name, np.ascontiguousarray(vectors).ravel())
    return flat.reshape(vectors.shape)


def _weights(ids: NDArray[Any], matrix: sparse.csr_matrix | NDArray[Any]) -> pl.DataFrame:
    """Return a row for each weight that is not 0, by item and neighbour."""
    entries = sparse.csr_matrix(matrix)
    entries.sort_indices()
    rows = np.repeat(np.arange(entries.shape[0], dtype=np.int32), np.diff(entries.indptr))
    known, columns = pl.Series(ids), entries.indices.astype(np.int32)
    return pl.DataFrame(
        {
            "item": known.gather(rows),
            "neighbor": known.gather(columns),
            "weight": entries.data,
            "item_index": rows,
            "neighbor_index": columns,
        }
    )
