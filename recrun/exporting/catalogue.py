"""Write the tables that every export has: items, users, and the interactions that are known of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recrun.data.entities import Entities
from recrun.data.splits import PARTS
from recrun.exporting.material import Material

ITEMS: Final = "items.parquet"
USERS: Final = "users.parquet"
SEEN: Final = "seen.parquet"


def write_tables(material: Material, folder: Path, entities: Entities | None) -> list[str]:
    """Write `items.parquet`, and with users `users.parquet` and `seen.parquet`; return their names.

    Args:
        material: what is exported.
        folder: where to.
        entities: the table of items whose columns are added to the catalogue; None if there is none.
    """
    known = material.known
    items = _counted(material, "item", material.item_ids, known.items_N)
    offsets = None if material.weights is None else material.weights.offsets
    if offsets is not None:
        items = items.with_columns(pl.Series("offset", offsets))
    if entities is not None:
        items = items.with_columns(_columns_of(entities, material.item_ids, items.columns))
    frames = {ITEMS: items}
    if material.with_users:
        frames[USERS] = _counted(material, "user", material.user_ids, known.users_N)
    if material.with_seen:
        frames[SEEN] = _seen(material)
    for name, frame in frames.items():
        frame.write_parquet(folder / name)
    return list(frames)


def _counted(material: Material, kind: str, ids: NDArray[Any], which_N: NDArray[np.int64]) -> pl.DataFrame:
    in_train = which_N[material.known.parts_N == 0]
    return pl.DataFrame(
        {
            "index": np.arange(len(ids), dtype=np.int32),
            kind: ids,
            "n_train": np.bincount(in_train, minlength=len(ids)),
            "n_known": np.bincount(which_N, minlength=len(ids)),
        }
    )


def _seen(material: Material) -> pl.DataFrame:
    known = material.known
    users, items = pl.Series(material.user_ids), pl.Series(material.item_ids)
    return pl.DataFrame(
        {
            "user": users.gather(known.users_N),
            "item": items.gather(known.items_N),
            "user_index": known.users_N.astype(np.int32),
            "item_index": known.items_N.astype(np.int32),
            "part": pl.Series(list(PARTS)).gather(known.parts_N.astype(np.int64)),
        }
    )


def _columns_of(entities: Entities, ids: NDArray[Any], taken: list[str]) -> list[pl.Series]:
    """Return the columns of a table of items in the order of `ids`: texts, or lists where a cell has several."""
    place = {each: position for position, each in enumerate(entities.ids)}
    rows = [place.get(str(each)) for each in ids.tolist()]
    found = []
    for name, values in entities.columns.items():
        own = name if name not in taken else f"{name}_of_file"
        cells = [() if row is None else values[row] for row in rows]
        if any(len(cell) > 1 for cell in values):
            found.append(pl.Series(own, [list(cell) for cell in cells], dtype=pl.List(pl.String)))
        else:
            found.append(pl.Series(own, [cell[0] if cell else None for cell in cells], dtype=pl.String))
    return found
