"""The model `rp3beta`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.models.rp3beta import RP3Beta


def _weights(table: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Walk from item to user to item, one step at a time."""
    n_items = table.shape[1]
    degree = table.sum(0)
    weights = np.zeros((n_items, n_items))
    for source in range(n_items):
        for user in np.flatnonzero(table[:, source]):
            for target in np.flatnonzero(table[user]):
                if source != target:
                    chance = (1 / degree[source]) ** alpha * (1 / table[user].sum()) ** alpha
                    weights[source, target] += chance / degree[target] ** beta
    return weights


def _cut_rows(matrix: np.ndarray, n_kept: int) -> np.ndarray:
    places = np.argsort(-matrix.astype(np.float32), axis=1, kind="stable")[:, :n_kept]
    kept = np.zeros_like(matrix)
    np.put_along_axis(kept, places, np.take_along_axis(matrix, places, 1), 1)
    return kept


def test_with_alpha_1_and_beta_0_scores_are_chances_of_a_walk(scores_of: Callable[..., Tensor]) -> None:
    # Users {0, 1} and {1}. From item 0 to user 0 (1), on to item 1 (1/2). From item 1 to user 0 (1/2), to item 0 (1/2).
    expected = torch.tensor([[0.25, 0.5], [0.25, 0.0]])
    torch.testing.assert_close(scores_of(RP3Beta, [[1, 1], [0, 1]], alpha=1.0, beta=0.0), expected)


@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize("normalize", [False, True])
def test_scores_are_those_of_walks_step_by_step(
    scores_of: Callable[..., Tensor], table: np.ndarray, neighbors_of: str, normalize: bool
) -> None:
    for n_neighbors, alpha, beta in ((100, 1.0, 0.3), (4, 0.6, 0.5), (4, 0.0, 0.0)):
        weights = _weights(table, alpha, beta)
        weights = _cut_rows(weights.T, n_neighbors).T if neighbors_of == "target" else _cut_rows(weights, n_neighbors)
        if normalize:
            weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
        if neighbors_of == "both":
            weights = _cut_rows(weights.T, n_neighbors).T
        settings = {"neighbors_of": neighbors_of, "normalize_neighbors": normalize}
        scores = scores_of(RP3Beta, table, n_neighbors=n_neighbors, alpha=alpha, beta=beta, **settings)
        np.testing.assert_allclose(scores, table @ weights, rtol=2e-5, atol=1e-6)
