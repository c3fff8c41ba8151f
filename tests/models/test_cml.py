"""The model `cml`."""

from __future__ import annotations

import math

import pytest
import torch

from recrun.architectures.item_products import repeated_items
from recrun.criterions import WARPLoss
from recrun.data.interactions import TrainingData
from recrun.models.cml import CML

USERS, ITEMS = torch.tensor([[3], [7]]), torch.tensor([[1, 2, 5, 9], [4, 0, 8, 6]])


def _model(data: TrainingData, **settings: float) -> CML:
    torch.manual_seed(2)
    return CML(data, embedding_dim=5, init_std=0.5, **settings).double()  # type: ignore[arg-type]


def test_scores_are_minus_the_squared_distances(small_data: TrainingData) -> None:
    model = _model(small_data, radius=100.0).eval()
    expected = -(torch.cdist(model.users.weight, model.items.weight) ** 2)
    torch.testing.assert_close(model.score(torch.arange(40)), expected)
    torch.testing.assert_close(model(USERS, ITEMS), expected[USERS, ITEMS])
    users, items = torch.randint(40, (60, 1)), torch.randint(30, (60, 40))  # each item often
    assert repeated_items(items, 30) is not None
    torch.testing.assert_close(model(users, items), expected[users, items])


def test_points_are_ranked_and_trained_within_the_ball(small_data: TrainingData) -> None:
    model = _model(small_data, radius=0.8).eval()
    users, items = (
        torch.stack([row * min(1.0, 0.8 / float(row.detach().norm())) for row in each.weight])
        for each in (model.users, model.items)
    )
    assert (model.users.weight.norm(dim=1) > 0.8).any()
    expected = -(torch.cdist(users, items) ** 2)
    torch.testing.assert_close(model.score(torch.arange(40)), expected)
    torch.testing.assert_close(model(USERS, ITEMS), expected[USERS, ITEMS])
    criterion = WARPLoss()
    criterion.bind(30)
    model.train().training_loss({"user": USERS, "item": ITEMS}, criterion).backward()
    torch.testing.assert_close(model.users.weight.detach(), users.detach())
    torch.testing.assert_close(model.score(torch.arange(40)), expected)


def test_the_loss_weighs_the_hardest_negative_by_the_log_of_the_rank(small_data: TrainingData) -> None:
    model = _model(small_data, radius=100.0)
    criterion = WARPLoss(margin=0.7, rank_weight="log", violators="hardest")
    criterion.bind(30)
    expected = []
    for user, items in zip(USERS[:, 0], ITEMS, strict=True):
        own, *others = ((model.users.weight[user] - model.items.weight[item]).square().sum() for item in items)
        impostors = sum(bool(0.7 + own - other > 0) for other in others)
        hinge = (0.7 + own - min(others)).clamp(min=0)
        expected.append(math.log(1 + 30 * impostors / 3) * hinge)
    assert all(float(each.detach()) > 0 for each in expected)
    loss = model.training_loss({"user": USERS, "item": ITEMS}, criterion)
    torch.testing.assert_close(loss, (expected[0] + expected[1]) / 2)


@pytest.mark.parametrize("covariance_weight", [0.0, 3.0])
def test_the_covariance_term_is_of_different_coordinates(small_data: TrainingData, covariance_weight: float) -> None:
    model = _model(small_data, covariance_weight=covariance_weight)
    points = torch.cat([model.users.weight, model.items.weight])
    covariances = torch.cov(points.T, correction=0)
    expected = sum(covariances[i, j] ** 2 for i in range(5) for j in range(5) if i != j)
    torch.testing.assert_close(
        torch.as_tensor(model.penalty(USERS, ITEMS), dtype=torch.float64), covariance_weight * expected
    )
