"""The model `itemknn`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.models.itemknn import ItemKNN

ABC = [[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]]
"""Item 0 has users 0, 1, 2; item 1 has users 0, 1; item 2 has users 1, 3."""


def similarities(vectors: np.ndarray, measure: str, shrink: float) -> np.ndarray:
    """Return the similarities of the rows, pair by pair, with a zero diagonal."""
    weighted = vectors.astype(float)
    if measure == "tfidf":
        weighted *= np.log(1 + len(vectors) / np.maximum(vectors.sum(0), 1))
    result = np.zeros((len(vectors), len(vectors)))
    for a in range(len(vectors)):
        for b in range(len(vectors)):
            if a != b and (vectors[a] & vectors[b]).any():
                if measure == "jaccard":
                    divisor = (vectors[a] | vectors[b]).sum()
                else:
                    divisor = np.linalg.norm(weighted[a]) * np.linalg.norm(weighted[b])
                shared = (vectors[a] & vectors[b]).sum() if measure == "jaccard" else weighted[a] @ weighted[b]
                result[a, b] = shared / (divisor + shrink)
    return result


def cut_rows(matrix: np.ndarray, n_kept: int) -> np.ndarray:
    """Return the matrix with the largest entries of each row; of equal ones, those of the smaller columns."""
    result = np.zeros_like(matrix)
    for row, kept in zip(matrix, result, strict=True):
        for column in np.argsort(-row.astype(np.float32), kind="stable")[:n_kept]:
            kept[column] = row[column]
    return result


def cut(matrix: np.ndarray, n_kept: int, neighbors_of: str, normalize: bool) -> np.ndarray:
    """Return the weights from sources (rows) to targets (columns)."""
    weights = cut_rows(matrix.T, n_kept).T if neighbors_of == "target" else cut_rows(matrix, n_kept)
    if normalize:
        totals = weights.sum(1, keepdims=True)
        weights = weights / np.where(totals > 0, totals, 1)
    return cut_rows(weights.T, n_kept).T if neighbors_of == "both" else weights


def test_similarities_worked_by_hand(scores_of: Callable[..., Tensor]) -> None:
    # s01 = 2 / sqrt(3 * 2), s02 = 1 / sqrt(3 * 2), s12 = 1 / sqrt(2 * 2)
    s01, s02, s12 = 2 / 6**0.5, 1 / 6**0.5, 0.5
    expected = [[s01, s01, s02 + s12], [s01 + s02, s01 + s12, s02 + s12], [0, s01, s02], [s02, s12, 0]]
    torch.testing.assert_close(scores_of(ItemKNN, ABC), torch.tensor(expected))


def test_one_neighbour_of_the_item_a_user_has(scores_of: Callable[..., Tensor]) -> None:
    # Each row keeps its largest: 0 -> 1, 1 -> 0, 2 -> 1 (s12 = 0.5 > s02 = 0.41).
    s01, s12 = 2 / 6**0.5, 0.5
    expected = [[s01, s01, 0], [s01, s01 + s12, 0], [0, s01, 0], [0, s12, 0]]
    torch.testing.assert_close(scores_of(ItemKNN, ABC, n_neighbors=1, neighbors_of="source"), torch.tensor(expected))


def test_one_neighbour_of_the_item_that_is_scored(scores_of: Callable[..., Tensor]) -> None:
    # Each column keeps its largest: 0 from 1, 1 from 0, 2 from 1.
    s01, s12 = 2 / 6**0.5, 0.5
    expected = [[s01, s01, s12], [s01, s01, s12], [0, s01, 0], [0, 0, 0]]
    torch.testing.assert_close(scores_of(ItemKNN, ABC, n_neighbors=1), torch.tensor(expected))


@pytest.mark.parametrize("measure", ["cosine", "tfidf", "jaccard"])
@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize("normalize", [False, True])
def test_scores_are_those_of_plain_loops(
    scores_of: Callable[..., Tensor], table: np.ndarray, measure: str, neighbors_of: str, normalize: bool
) -> None:
    for n_neighbors, shrink in ((100, 0.0), (4, 3.0)):
        weights = cut(similarities(table.T, measure, shrink), n_neighbors, neighbors_of, normalize)
        settings = {"neighbors_of": neighbors_of, "normalize_neighbors": normalize}
        scores = scores_of(ItemKNN, table, n_neighbors=n_neighbors, measure=measure, shrink=shrink, **settings)
        np.testing.assert_allclose(scores, table @ weights, rtol=1e-5, atol=1e-6)
