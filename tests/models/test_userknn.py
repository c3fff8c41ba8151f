"""The model `userknn`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.models.userknn import UserKNN


def _similarities(rows: np.ndarray, measure: str, shrink: float) -> np.ndarray:
    """Return the similarities of users by sets of items, pair by pair."""
    idf = np.log(1 + len(rows) / np.maximum(rows.sum(0), 1)) if measure == "tfidf" else np.ones(rows.shape[1])
    sets = [set(np.flatnonzero(row)) for row in rows]
    result = np.zeros((len(rows), len(rows)))
    for a, first in enumerate(sets):
        for b, second in enumerate(sets):
            if a == b or not first & second:
                continue
            if measure == "jaccard":
                result[a, b] = len(first & second) / (len(first | second) + shrink)
            else:
                norms = [sum(idf[item] ** 2 for item in items) ** 0.5 for items in (first, second)]
                result[a, b] = sum(idf[item] ** 2 for item in first & second) / (norms[0] * norms[1] + shrink)
    return result


def test_scores_worked_by_hand(scores_of: Callable[..., Tensor]) -> None:
    # Users {0, 1}, {1, 2}, {2}: s01 = 1/2, s02 = 0, s12 = 1/sqrt(2).
    half, root = 0.5, 0.5**0.5
    expected = [[0, half, half], [half, half, root], [0, root, root]]
    torch.testing.assert_close(scores_of(UserKNN, [[1, 1, 0], [0, 1, 1], [0, 0, 1]]), torch.tensor(expected))


@pytest.mark.parametrize("measure", ["cosine", "tfidf", "jaccard"])
def test_scores_are_those_of_plain_loops(scores_of: Callable[..., Tensor], table: np.ndarray, measure: str) -> None:
    for n_neighbors, shrink in ((100, 0.0), (5, 2.0)):
        weights = _similarities(table, measure, shrink)
        for row in weights:
            row[np.argsort(-row.astype(np.float32), kind="stable")[n_neighbors:]] = 0
        scores = scores_of(UserKNN, table, n_neighbors=n_neighbors, measure=measure, shrink=shrink)
        np.testing.assert_allclose(scores, weights @ table, rtol=1e-5, atol=1e-6)
