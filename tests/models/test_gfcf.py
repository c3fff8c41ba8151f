"""The model `gfcf`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from recrun.models.gfcf import GFCF


@pytest.mark.parametrize(("embedding_dim", "alpha"), [(3, 0.3), (3, 0.0), (15, 2.0)])
def test_scores_are_the_formula_on_dense_matrices(
    scores_of: Callable[..., Tensor], table: np.ndarray, embedding_dim: int, alpha: float
) -> None:
    n_items, n_users = np.maximum(table.sum(1), 1.0), np.maximum(table.sum(0), 1.0)
    normalized = np.diag(n_items**-0.5) @ table @ np.diag(n_users**-0.5)
    right = np.linalg.svd(normalized)[2][:embedding_dim]
    low_pass = np.diag(n_users**-0.5) @ right.T @ right @ np.diag(n_users**0.5)
    expected = table @ (normalized.T @ normalized + alpha * low_pass)
    scores = scores_of(GFCF, table, embedding_dim=embedding_dim, alpha=alpha)
    np.testing.assert_allclose(scores, expected, atol=2e-5)
