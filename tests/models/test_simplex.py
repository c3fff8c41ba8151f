"""The model `simplex`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from recrun.config.resolve import resolve
from recrun.criterions import CCLLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.simplex import SimpleX


def _model(data: TrainingData, **settings: Any) -> SimpleX:
    torch.manual_seed(2)
    return SimpleX(data, embedding_dim=4, init_std=1.0, **settings)


def test_scores_are_cosines_of_users_blended_with_the_average_of_their_items(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table), user_weight=0.25)
    users = torch.tensor([4, 3, 0])  # user 3 has no items
    rows = torch.from_numpy(table[users.numpy()]).float()
    average = rows @ model.items.weight / rows.sum(dim=1, keepdim=True).clamp(min=1)
    blend = 0.25 * model.users.weight[users] + 0.75 * average @ model.map.weight.T
    expected = F.cosine_similarity(blend[:, None], model.items.weight[None], dim=-1)
    torch.testing.assert_close(model.score(users), expected)
    torch.testing.assert_close(model(users[:, None], torch.arange(20).expand(3, -1)), expected)
    vectors = model.embed(users, torch.tensor([1, 2, 5]))
    torch.testing.assert_close((vectors[0] * vectors[1]).sum(dim=1), expected[torch.arange(3), [1, 2, 5]])


def test_with_the_users_embedding_alone_it_is_matrix_factorisation(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table), user_weight=1.0)
    expected = F.normalize(model.users.weight, dim=1) @ F.normalize(model.items.weight, dim=1).T
    torch.testing.assert_close(model.score(torch.arange(30)), expected)


def test_the_penalty_is_half_the_squared_norms_of_the_batch(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    plain, decayed = _model(data_of(table)), _model(data_of(table), embedding_decay=0.1)
    batch = {"user": torch.tensor([[4], [0]]), "item": torch.tensor([[1, 2, 3], [1, 1, 5]])}
    squares = plain.users(batch["user"]).square().sum() + plain.items(batch["item"]).square().sum()
    difference = decayed.training_loss(batch, CCLLoss()) - plain.training_loss(batch, CCLLoss())
    torch.testing.assert_close(difference, 0.1 * squares / 2 / 2)


def _attention(model: SimpleX, table: torch.Tensor, rows: np.ndarray, users: torch.Tensor, places: int) -> torch.Tensor:
    """The averages of RecZoo: a softmax whose denominator counts each empty place as exp(0); paper: `places` 0."""
    averages = []
    for user in users.tolist():
        own = table[torch.from_numpy(np.flatnonzero(rows[user]))].double()
        keys = torch.tanh(own @ model.keys.weight.double().T + model.keys.bias.double())
        query = model.query.weight[0] if model.aggregator == "self_attention" else model.users.weight[user]
        powers = torch.exp(keys @ query.double())
        empty = max(0, places - len(own))
        averages.append((powers[:, None] * own).sum(0) / (powers.sum() + empty + 1e-9))
    return torch.stack(averages)


@pytest.mark.parametrize("aggregator", ["user_attention", "self_attention"])
@pytest.mark.parametrize(("pad", "separate"), [(False, False), (True, True)])
def test_attention_weighs_the_items_of_a_user_as_the_formula(
    data_of: Callable[..., TrainingData], table: np.ndarray, aggregator: Any, pad: bool, separate: bool
) -> None:
    model = _model(
        data_of(table), user_weight=0.25, aggregator=aggregator, pad_attention=pad, separate_history=separate
    )
    torch.nn.init.normal_(model.keys.bias)
    users = torch.tensor([4, 3, 0])  # user 3 has no items
    history = model.history_items if separate else model.items
    average = _attention(model, history.weight, table, users, int(table.sum(1).max()) if pad else 0)
    blend = 0.25 * model.users.weight[users].double() + 0.75 * average @ model.map.weight.double().T
    expected = F.cosine_similarity(blend[:, None], model.items.weight[None].double(), dim=-1)
    torch.testing.assert_close(model.score(users), expected.float(), atol=1e-5, rtol=1e-4)
    expected.square().sum().backward()
    wanted = model.keys.weight.grad
    model.zero_grad()
    model.score(users).square().sum().backward()
    torch.testing.assert_close(model.keys.weight.grad, wanted, atol=1e-5, rtol=1e-3)


def test_attention_stays_finite_with_large_embeddings(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    for pad in (False, True):
        model = _model(data_of(table), aggregator="user_attention", pad_attention=pad)
        model.users.weight.data *= 1e4
        assert model.score(torch.arange(30)).isfinite().all()


def test_the_latest_items_of_a_user_are_averaged_if_a_length_is_set(in_order: TrainingData) -> None:
    model = _model(in_order, user_weight=0.5, history_length=2)
    vectors = model.vectors()[0]
    for user, latest in {0: [1, 4], 3: [7, 1], 4: [8], 5: [0, 5]}.items():
        average = model.items.weight[latest].mean(0)
        blend = 0.5 * model.users.weight[user] + 0.5 * model.map.weight @ average
        torch.testing.assert_close(vectors[user], F.normalize(blend, dim=0))


def test_users_and_weights_of_attention_are_dropped_in_training_only(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model, plain = _model(data_of(table), dropout=0.5), _model(data_of(table))
    dropped = model.vectors()[0]
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 2 * plain.vectors()[0][kept])
    assert 0.2 < kept.double().mean() < 0.8
    torch.testing.assert_close(model.eval().vectors()[0], plain.vectors()[0])
    model = _model(data_of(table), aggregator="self_attention", attention_dropout=0.5)
    assert not torch.equal(model.vectors()[0], model.vectors()[0])
    assert torch.equal(model.eval().vectors()[0], model.vectors()[0])


@pytest.mark.parametrize("setting", ["attention_dropout=0.1", "pad_attention=true"])
def test_settings_of_attention_are_refused_without_it(setting: str) -> None:
    with pytest.raises(ConfigError, match="aggregator is mean, without attention"):
        resolve("simplex", [setting])
    assert resolve("simplex", [setting, "aggregator=user_attention"]).config.aggregator == "user_attention"
