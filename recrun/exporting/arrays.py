"""Lay out what is exported as named arrays, for formats that hold such.

Shapes: U users, I items, D length of the vectors, N known interactions, W weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recrun.exporting.material import Material, refuse_too_many

Array = NDArray[Any]


def arrays_of(material: Material) -> dict[str, Array]:
    """Return the arrays of a model with vectors or weights, and of its ids.

    Returns:
        "item_ids" (I,); "item_vectors" (I, D); of weights "weights" (I, I), or "weights_indptr" (I + 1,),
        "weights_indices" (W,) and "weights_values" (W,), and "offsets" (I,); with users "user_ids" (U,),
        "user_vectors" (U, D), and with their items "seen_indptr" (U + 1,) and "seen_items" (N,).
    """
    found: dict[str, Array] = {"item_ids": material.item_ids}
    if material.vectors is not None:
        found["item_vectors"] = material.vectors.items_ID
    if material.weights is not None:
        refuse_too_many(material.weights, material.model)
        matrix = material.weights.matrix
        if isinstance(matrix, np.ndarray):
            found["weights"] = matrix
        else:
            found["weights_indptr"] = matrix.indptr.astype(np.int64)
            found["weights_indices"] = matrix.indices.astype(np.int32)
            found["weights_values"] = matrix.data.astype(np.float32)
        if material.weights.offsets is not None:
            found["offsets"] = material.weights.offsets
    if material.with_users:
        found["user_ids"] = material.user_ids
        if material.vectors is not None and material.vectors.users_UD is not None:
            found["user_vectors"] = material.vectors.users_UD
    if material.with_seen:
        histories = material.known.histories(len(material.user_ids))
        found |= {"seen_indptr": histories.indptr, "seen_items": histories.indices}
    return found
