"""The model `enmf`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.criterions import MultinomialLoss, WholeDataLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.enmf import ENMF


def _model(data: TrainingData, **settings: float) -> ENMF:
    torch.manual_seed(2)
    model = ENMF(data, embedding_dim=4, init_std=0.5, **settings)  # type: ignore[arg-type]
    with torch.no_grad():
        model.weights.copy_(torch.tensor([1.0, -0.5, 2.0, 0.25]))
    return model


def test_the_loss_is_that_of_all_cells_of_the_users_rows(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table), dropout=0.0)
    users = torch.tensor([4, 3, 0])  # user 3 has no items
    scores = (model.users.weight[users] * model.weights) @ model.items.weight.T
    rows = torch.from_numpy(table[users.numpy()])
    expected = torch.where(rows > 0, (1 - scores).square(), 0.2 * scores.square()).sum(dim=1).mean()
    loss = model.training_loss({"user": users[:, None]}, WholeDataLoss(negative_weight=0.2))
    torch.testing.assert_close(loss, expected)
    softmax = model.training_loss({"user": users[:, None]}, MultinomialLoss())
    torch.testing.assert_close(softmax, MultinomialLoss()(scores, rows))


def test_items_have_weights_by_their_popularity(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    model = _model(data_of(table), dropout=0.0, weight_exponent=0.5)
    users = torch.tensor([4, 3, 0])
    scores = ((model.users.weight[users] * model.weights) @ model.items.weight.T).double()
    powers = torch.from_numpy(table.sum(0)).double() ** 0.5  # item 5 has no user, and weight 0
    weights = 0.2 * powers / powers.mean()
    rows = torch.from_numpy(table[users.numpy()])
    expected = torch.where(rows > 0, (1 - scores).square(), weights * scores.square()).sum(dim=1).mean()
    loss = model.training_loss({"user": users[:, None]}, WholeDataLoss(negative_weight=0.2))
    torch.testing.assert_close(loss, expected.float())
    with pytest.raises(ConfigError, match="it weighs the terms of loss whole_data, found MultinomialLoss"):
        model.training_loss({"user": users[:, None]}, MultinomialLoss())
    with pytest.raises(ConfigError, match=r"weight_exponent: .*terms of loss whole_data, found multi"):
        resolve("enmf", ["loss=multinomial", "weight_exponent=0.5"])


def test_the_weights_of_the_dimensions_start_at_their_setting(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    assert ENMF(data_of(table), embedding_dim=3).weights.tolist() == [1, 1, 1]
    assert ENMF(data_of(table), embedding_dim=3, init_weight=0.25).weights.tolist() == [0.25] * 3


def test_entries_of_users_are_dropped_in_training_only(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    model = _model(data_of(table), dropout=0.5)
    assert 0.2 < float((model.vectors()[0] == 0).float().mean()) < 0.8
    model.eval()
    assert (model.vectors()[0] != 0).all()
