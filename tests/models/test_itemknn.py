"""The model `itemknn`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.itemknn import ItemKNN
from tests.architectures.dense_neighbors import similarities, weights

ABC = [[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]]
"""Item 0 has users 0, 1, 2; item 1 has users 0, 1; item 2 has users 1, 3."""


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


@pytest.mark.parametrize("neighbors_of", ["source", "target", "both"])
@pytest.mark.parametrize("over", [None, "source", "target"])
@pytest.mark.parametrize("means", [False, True])
def test_scores_are_the_formula_on_dense_matrices(
    scores_of: Callable[..., Tensor],
    table: np.ndarray,
    neighbors_of: str,
    over: str | None,
    means: bool,
) -> None:
    share = table[table.any(1)].mean(0) if means else np.zeros(20)
    for n_neighbors, measure in (
        (100, {}),
        (4, {"shrink": 3.0}),
        (4, {"feature_weights": "tfidf"}),
        (100, {"measure": "jaccard"}),
        (100, {"measure": "dot", "feature_weights": "bm25"}),
        (7, {"measure": "asymmetric", "asymmetric_alpha": 0.3}),
    ):
        expected = weights(similarities(table.T, **measure), n_neighbors, neighbors_of, over)  # type: ignore[arg-type]
        settings = {"neighbors_of": neighbors_of, "normalize_neighbors": over is not None, "normalize_over": over}
        scores = scores_of(ItemKNN, table, n_neighbors=n_neighbors, subtract_item_means=means, **settings, **measure)  # type: ignore[arg-type]
        atol = 2e-6 * max(1, expected.sum(0).max())  # the means are subtracted from sums of this size
        np.testing.assert_allclose(scores, (table - share) @ expected + share, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("table", [[[0, 0]], [[1, 1]], [[1, 0], [0, 1]], [[0, 0], [1, 0]]])
def test_items_whose_neighbours_say_nothing_are_scored_by_their_means(
    scores_of: Callable[..., Tensor], table: list[list[int]]
) -> None:
    scores = scores_of(ItemKNN, table, subtract_item_means=True, normalize_neighbors=True, normalize_over="target")
    share = np.sum(table, 0) / max(1, np.any(table, 1).sum())  # of the users with items
    expected = np.tile(share, (len(table), 1))
    # In [[1, 1]] the two items are neighbours, but what each user has is the mean.
    np.testing.assert_allclose(scores, expected)


def test_a_fitted_model_with_means_goes_into_a_new_one(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    data = data_of(table)
    model, other = (ItemKNN(data, subtract_item_means=True) for _ in range(2))
    model.fit(data)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.score(torch.arange(30)), model.score(torch.arange(30)))


def test_settings_that_do_not_go_together_are_refused(data_of: Callable[..., TrainingData]) -> None:
    with pytest.raises(ConfigError, match="asymmetric_alpha: has no effect with measure cosine"):
        ItemKNN(data_of(ABC), asymmetric_alpha=0.5)
    message = (
        "normalize_over: has no effect without normalize_neighbors; expected null, or set it to true, found target"
    )
    with pytest.raises(ConfigError, match=message):
        ItemKNN(data_of(ABC), normalize_over="target")


def test_neighbours_are_normalized_over_sources_unless_said_otherwise(
    scores_of: Callable[..., Tensor], table: np.ndarray
) -> None:
    scores = (scores_of(ItemKNN, table, normalize_neighbors=True, normalize_over=over) for over in (None, "source"))
    assert next(scores).equal(next(scores))
