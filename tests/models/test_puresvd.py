"""The model `puresvd`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from recrun.errors import ConfigError
from recrun.models.puresvd import PureSVD


@pytest.mark.parametrize("embedding_dim", [1, 3, 12, 20])
def test_scores_are_the_best_approximation_of_that_rank(
    scores_of: Callable[..., Tensor], table: np.ndarray, embedding_dim: int
) -> None:
    left, values, right = np.linalg.svd(table.astype(float), full_matrices=False)
    expected = (left[:, :embedding_dim] * values[:embedding_dim]) @ right[:embedding_dim]
    scores = scores_of(PureSVD, table, embedding_dim=embedding_dim)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_more_dimensions_than_items_are_refused_by_the_key(scores_of: Callable[..., Tensor], table: np.ndarray) -> None:
    message = "embedding_dim: expected at most the smaller number of users and items, 20, found 21"
    with pytest.raises(ConfigError, match=message):
        scores_of(PureSVD, table, embedding_dim=21)
