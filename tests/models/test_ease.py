"""The model `ease`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError, TrainingError
from recrun.models.ease import EASE

Build = Callable[..., TrainingData]


def test_weights_worked_by_hand(scores_of: Callable[..., Tensor]) -> None:
    # G = [[2 + 1, 1], [1, 1 + 1]]: the regression of one item on the other is 1 / G_ii of the other.
    scores = scores_of(EASE, [[1, 1], [1, 0]], reg_weight=1.0)
    torch.testing.assert_close(scores, torch.tensor([[1 / 2, 1 / 3], [0, 1 / 3]]))


@pytest.mark.parametrize("block", [1, 7, 1024])
def test_scores_are_the_formula_on_dense_matrices(
    scores_of: Callable[..., Tensor], table: np.ndarray, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recrun.models.ease._BLOCK", block)
    precision = np.linalg.inv(table.T @ table + 2.5 * np.eye(20))
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(scores_of(EASE, table, reg_weight=2.5), table @ weights, atol=1e-5)


@pytest.mark.parametrize("n_items", [511, 512, 513, 1100])
def test_weights_of_several_blocks_are_those_in_double_precision(data_of: Build, n_items: int) -> None:
    table = (np.random.default_rng(1).random((400, n_items)) < 0.05).astype(np.int64)
    data = data_of(table)
    model = EASE(data, reg_weight=5.0)
    told: list[tuple[int, int]] = []
    model.progress = lambda done, total: told.append((done, total))
    model.fit(data)
    precision = np.linalg.inv(table.T @ table + 5.0 * np.eye(n_items))
    weights = -precision / np.diag(precision)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(model.weights, weights, atol=2e-6)
    n_steps = 3 * -(-n_items // 512)  # three passes over the blocks
    assert told == [(done, n_steps) for done in range(1, n_steps + 1)]


def test_fitting_takes_place_in_the_memory_of_the_weights(data_of: Build, table: np.ndarray) -> None:
    data = data_of(table)
    model = EASE(data)
    address = model.weights.data_ptr()
    model.fit(data)
    assert model.weights.data_ptr() == address
    assert model.weights.any()


def test_what_does_not_fit_in_memory_is_refused_with_an_estimate(data_of: Build) -> None:
    table = np.zeros((1, 5000), dtype=int)
    message = (
        r"model: ease on 5,000 items needs about 0\.1 GB of memory, and 0\.0 GB are allowed by max_memory; "
        r"take a model with sparse weights \(slim, itemknn, rp3beta\), or fewer items \(min_item_interactions\)"
    )
    with pytest.raises(ConfigError, match=message):
        EASE(data_of(table), max_memory=0.01)


def test_a_matrix_that_cannot_be_inverted_is_told(scores_of: Callable[..., Tensor]) -> None:
    with pytest.raises(TrainingError, match="raise reg_weight"):
        scores_of(EASE, [[1, 1]] * 4, reg_weight=1e-30)
