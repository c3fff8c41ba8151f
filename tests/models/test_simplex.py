"""The model `simplex`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from recrun.criterions import CCLLoss
from recrun.data.interactions import TrainingData
from recrun.models.simplex import SimpleX


def _model(data: TrainingData, **settings: float) -> SimpleX:
    torch.manual_seed(2)
    return SimpleX(data, embedding_dim=4, init_std=1.0, **settings)  # type: ignore[arg-type]


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
