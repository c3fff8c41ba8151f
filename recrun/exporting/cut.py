"""Keep the largest weights between items only, and measure what that changes.

Shapes: U users, I items, B users of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recrun.architectures.item_weights import ItemWeights
from recrun.data.interactions import CSR
from recrun.randomness import generator

_SAMPLE: Final = 500
_BLOCK: Final = 1 << 24
"""Weights that are sorted at a time."""
_K: Final = 20


@dataclass(frozen=True)
class Cut:
    """How weights were cut.

    Args:
        kept: how many of each item were kept.
        same_top_20: the share of the best 20 items, without known ones, that is the same as with all weights.
        users: over how many users.
    """

    kept: int
    same_top_20: float | None
    users: int


def cut(weights: ItemWeights, kept: int, histories: CSR) -> tuple[ItemWeights, Cut]:
    """Return weights with the `kept` largest of each item (row) by magnitude, and what that changes.

    Args:
        weights: all weights.
        kept: how many of each row are kept.
        histories: the known items of users, U rows.
    """
    smaller = ItemWeights(_largest(weights.matrix, kept), weights.offsets)
    users = np.flatnonzero(histories.lengths)
    random = generator(0, 0, "cut")
    sampled = np.sort(random.choice(users, min(_SAMPLE, len(users)), replace=False)) if len(users) else users
    rows = histories.take(sampled).distinct()
    matrix = rows.to_scipy(weights.matrix.shape[0])
    hits = places = 0
    for position in range(rows.n_rows):
        own = matrix[position]
        best, found = (_best(own, each, rows.row(position)) for each in (weights, smaller))
        hits += len(np.intersect1d(best, found))
        places += len(best)
    return smaller, Cut(kept, hits / places if places else None, len(sampled))


def _best(row: sparse.csr_matrix, weights: ItemWeights, left_out: NDArray[Any]) -> NDArray[np.int64]:
    product = row @ weights.matrix
    scores = (product.toarray() if sparse.issparse(product) else np.asarray(product)).ravel()
    scores = scores if weights.offsets is None else scores + weights.offsets
    scores[left_out] = -np.inf
    n_best = min(_K, len(scores) - len(left_out))
    return np.argsort(-scores, kind="stable")[:n_best]


def _largest(matrix: sparse.csr_matrix | NDArray[Any], kept: int) -> sparse.csr_matrix:
    n_rows, n_columns = matrix.shape
    blocks = []
    step = max(1, _BLOCK // max(1, n_columns))
    for start in range(0, n_rows, step):
        block = matrix[start : start + step]
        dense = block if isinstance(block, np.ndarray) else block.toarray()
        places = np.argpartition(-np.abs(dense), min(kept, n_columns) - 1, axis=1)[:, :kept]
        left = np.zeros_like(dense)
        np.put_along_axis(left, places, np.take_along_axis(dense, places, axis=1), axis=1)
        blocks.append(sparse.csr_matrix(left))
    whole: sparse.csr_matrix = sparse.vstack(blocks, format="csr", dtype=np.float32)
    return whole
