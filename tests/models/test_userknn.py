"""The model `userknn`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.models.userknn import UserKNN
from tests.architectures.dense_neighbors import similarities, weights


def test_scores_worked_by_hand(scores_of: Callable[..., Tensor]) -> None:
    # Users {0, 1}, {1, 2}, {2}: s01 = 1/2, s02 = 0, s12 = 1/sqrt(2).
    half, root = 0.5, 0.5**0.5
    expected = [[0, half, half], [half, half, root], [0, root, root]]
    torch.testing.assert_close(scores_of(UserKNN, [[1, 1, 0], [0, 1, 1], [0, 0, 1]]), torch.tensor(expected))


def test_one_neighbour_of_the_user_who_is_recommended_to_or_of_the_one_whose_items_they_are(
    scores_of: Callable[..., Tensor],
) -> None:
    # The most similar of users 0, 1, 2 are 1, 2, 1. By source, user 0 is nobody's neighbour of its own.
    half, root, table = 0.5, 0.5**0.5, [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    by_target = torch.tensor([[0, half, half], [0, 0, root], [0, root, root]])
    by_source = torch.tensor([[0, 0, 0], [half, half, root], [0, root, root]])
    torch.testing.assert_close(scores_of(UserKNN, table, n_neighbors=1), by_target)
    torch.testing.assert_close(scores_of(UserKNN, table, n_neighbors=1, neighbors_of="source"), by_source)


@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize(
    "measure",
    [
        {},
        {"shrink": 2.0},
        {"feature_weights": "tfidf"},
        {"measure": "jaccard", "shrink": 2.0},
        {"measure": "dot", "feature_weights": "bm25"},
        {"measure": "tversky", "tversky_alpha": 0.3, "tversky_beta": 0.9},
        {"measure": "asymmetric", "asymmetric_alpha": 0.7},
    ],
)
def test_scores_are_the_formula_on_dense_matrices(
    scores_of: Callable[..., Tensor], table: np.ndarray, neighbors_of: str, measure: dict[str, Any]
) -> None:
    for n_neighbors in (100, 5) if measure else (100,):  # cosines that are equal differ after rounding
        expected = weights(similarities(table, **measure), n_neighbors, neighbors_of).T @ table
        scores = scores_of(UserKNN, table, n_neighbors=n_neighbors, neighbors_of=neighbors_of, **measure)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_settings_that_do_not_go_together_are_refused(scores_of: Callable[..., Tensor]) -> None:
    with pytest.raises(ConfigError, match="shrink: measure dot has no denominator"):
        scores_of(UserKNN, [[1, 1]], measure="dot", shrink=1.0)


@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize("measure", [{}, {"measure": "jaccard"}, {"measure": "asymmetric", "asymmetric_alpha": 0.2}])
def test_a_new_user_is_compared_with_the_users_in_train(
    data_of: Callable[..., Any], table: np.ndarray, neighbors_of: Any, measure: dict[str, Any]
) -> None:
    new = (np.random.default_rng(2).random((6, 20)) < 0.4).astype(np.int64)
    data, n_neighbors = data_of(table), 4
    model = UserKNN(data, n_neighbors=n_neighbors, neighbors_of=neighbors_of, **measure)
    model.fit(data)
    scores = model.score_histories(CSR.from_pairs(*np.nonzero(new), 6)).numpy()
    among = similarities(table, **measure)  # targets in rows, sources in columns
    whole = similarities(np.vstack([table, new]), **measure)
    kept = whole[30:, :30].copy()
    if neighbors_of != "target":
        least = [row[row > 0][np.argsort(-row[row > 0])][:n_neighbors] for row in among.T]
        bounds = np.array([row[-1] if len(row) == n_neighbors else 0 for row in least])
        kept[kept < bounds - 1e-7] = 0
    if neighbors_of != "source":
        for row in kept:
            row[np.argsort(-row, kind="stable")[n_neighbors:]] = 0
    np.testing.assert_allclose(scores, kept @ table, rtol=1e-5, atol=1e-6)
