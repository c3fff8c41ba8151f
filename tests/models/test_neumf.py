"""The model `neumf`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.neumf import NeuMF


def _model(data: TrainingData, **settings: float) -> NeuMF:
    torch.manual_seed(2)
    settings = {"embedding_dim": 3, "mlp_dim": 4, "n_layers": 2, "init_std": 1.0} | settings
    return NeuMF(data, **settings)  # type: ignore[arg-type]


def test_a_score_is_that_of_the_papers_tower_and_product(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table))
    torch.nn.init.normal_(model.from_item.bias)
    user, item = torch.tensor(4), torch.tensor(7)
    below = torch.cat([model.mlp_users(user), model.mlp_items(item)])
    first = torch.cat([model.from_user.weight, model.from_item.weight], dim=1)
    hidden = torch.relu(first @ below + model.from_item.bias)
    hidden = torch.relu(model.layers[0](hidden))
    assert hidden.shape == (2,)
    expected = model.output(torch.cat([model.users(user) * model.items(item), hidden]))[0]
    torch.testing.assert_close(model(user.view(1, 1), item.view(1, 1))[0, 0], expected)
    torch.testing.assert_close(model.score(user.view(1))[0, 7], expected)


def test_layers_start_as_xavier_initialisation_of_the_whole_layer(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table), mlp_dim=256)
    first = torch.cat([model.from_user.weight, model.from_item.weight], dim=1)
    for weight in (first, model.layers[0].weight):
        outputs, inputs = weight.shape
        assert float(weight.detach().std()) == pytest.approx((2 / (inputs + outputs)) ** 0.5, rel=0.02)


def test_all_items_are_scored_alike_however_many_at_a_time(
    data_of: Callable[..., TrainingData], table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(data_of(table))
    users = torch.tensor([4, 0, 3])
    whole = model.score(users)
    torch.testing.assert_close(whole, model(users[:, None], torch.arange(20).expand(3, -1)))
    monkeypatch.setattr("recrun.models.neumf._CELLS", 40)
    torch.testing.assert_close(model.score(users), whole)


def test_a_tower_that_cannot_be_halved_so_often_is_refused(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    assert _model(data_of(table), n_layers=3).output.in_features == 3 + 1
    with pytest.raises(ConfigError, match="n_layers: expected at most 3 layers for mlp_dim 4, found 4"):
        _model(data_of(table), n_layers=4)
