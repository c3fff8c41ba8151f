"""The model `gfcf`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from recrun.data.interactions import TrainingData
from recrun.models.gfcf import GFCF


@pytest.mark.parametrize("most_entries", [0, 400])
@pytest.mark.parametrize(("embedding_dim", "alpha"), [(3, 0.3), (3, 0.0), (15, 2.0)])
def test_scores_are_the_formula_on_dense_matrices(
    scores_of: Callable[..., Tensor],
    table: np.ndarray,
    embedding_dim: int,
    alpha: float,
    most_entries: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recrun.models.gfcf._GRAPH_ENTRIES", most_entries)
    n_items, n_users = np.maximum(table.sum(1), 1.0), np.maximum(table.sum(0), 1.0)
    normalized = np.diag(n_items**-0.5) @ table @ np.diag(n_users**-0.5)
    right = np.linalg.svd(normalized)[2][:embedding_dim]
    low_pass = np.diag(n_users**-0.5) @ right.T @ right @ np.diag(n_users**0.5)
    expected = table @ (normalized.T @ normalized + alpha * low_pass)
    scores = scores_of(GFCF, table, embedding_dim=embedding_dim, alpha=alpha)
    np.testing.assert_allclose(scores, expected, atol=2e-5)


def test_the_graph_of_items_is_kept_where_that_is_less_work_and_small_enough(
    data_of: Callable[..., TrainingData], table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 30 users with about 6 of 20 items each: nearly all have some in common, 150 or so edges for each.
    assert GFCF(data_of(table), embedding_dim=2).keeps_graph
    # 60 users with one of 60 items each: two sparse products take two steps for each.
    assert not GFCF(data_of(np.eye(60)), embedding_dim=2).keeps_graph
    monkeypatch.setattr("recrun.models.gfcf._GRAPH_ENTRIES", 399)
    assert not GFCF(data_of(table), embedding_dim=2).keeps_graph
