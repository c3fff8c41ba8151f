"""The model `multdae`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recrun.criterions import MultinomialLoss
from recrun.data.interactions import TrainingData
from recrun.models.multdae import MultDAE

USERS = torch.tensor([4, 3, 0])  # user 3 has no items
Build = Callable[..., TrainingData]


def _model(data: TrainingData, **settings: float) -> MultDAE:
    torch.manual_seed(2)
    model = MultDAE(data, latent_dim=3, **settings).double()  # type: ignore[arg-type]
    for parameter in model.parameters():  # biases too, which start at 0
        torch.nn.init.normal_(parameter)
    return model


def _rows(table: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(table[USERS.numpy()]).double()


def test_scores_are_those_of_one_tanh_layer_on_normalised_rows(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table)).eval()
    code = torch.tanh(F.normalize(_rows(table)) @ model.inputs.weight + model.input_bias)
    expected = code @ model.outputs.weight.T + model.outputs.bias
    torch.testing.assert_close(model.score(USERS), expected)
    torch.testing.assert_close(model.score_rows(_rows(table)), expected)


def test_a_hidden_layer_lies_on_either_side_of_the_code(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table), hidden_layer=True, hidden_dim=5).eval()
    assert [tuple(weights.shape) for weights in model.parameters() if weights.dim() == 2] == [
        *((20, 5), (3, 5), (5, 3), (20, 5))
    ]
    layer = torch.tanh(F.normalize(_rows(table)) @ model.inputs.weight + model.input_bias)
    for each in model.hidden:
        layer = torch.tanh(layer @ each.weight.T + each.bias)  # type: ignore[union-attr, operator]
    torch.testing.assert_close(model.score(USERS), layer @ model.outputs.weight.T + model.outputs.bias)


@pytest.mark.parametrize("weight_penalty", [0.0, 0.25])
def test_the_loss_is_the_likelihood_and_the_squares_of_all_weights_but_biases(
    data_of: Build, table: np.ndarray, weight_penalty: float
) -> None:
    model = _model(data_of(table), hidden_layer=True, hidden_dim=5, dropout=0.0, weight_penalty=weight_penalty)
    rows = _rows(table)
    likelihood = -(torch.log_softmax(model.score_rows(rows), 1) * rows).sum(1).mean()
    matrices = (model.inputs.weight, model.hidden[0].weight, model.hidden[1].weight, model.outputs.weight)
    squares = sum((each**2).sum() for each in matrices)  # type: ignore[operator, union-attr, misc]
    loss = model.training_loss({"user": USERS[:, None]}, MultinomialLoss())
    torch.testing.assert_close(loss, likelihood + weight_penalty * squares)


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_items_are_dropped_from_rows_in_training(data_of: Build, table: np.ndarray, dropout: float) -> None:
    model = _model(data_of(table), dropout=dropout)
    trained = model(USERS)
    assert torch.equal(trained, model.eval().score(USERS)) == (dropout == 0)
