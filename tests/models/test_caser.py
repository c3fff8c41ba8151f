"""The model `caser`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recrun.criterions import BCELoss4Logits
from recrun.data.interactions import TrainingData
from recrun.models.caser import Caser


def _model(data: TrainingData, activation: Any = "relu") -> Caser:
    torch.manual_seed(2)
    sizes = {"embedding_dim": 4, "n_horizontal": 3, "n_vertical": 2}
    model = Caser(data, max_length=3, activation=activation, **sizes).double().eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def _scores(model: Caser, user: int, history: list[int], activation: Any = torch.relu) -> Tensor:
    """Return the scores by the equations of the paper, one filter and one place at a time."""
    rows = [torch.zeros(4).double()] * (3 - len(history)) + [model.items.weight[item] for item in history]
    image, features = torch.stack(rows), []
    for height, filters in enumerate(model.horizontal, start=1):
        for weights, bias in zip(filters.weight, filters.bias, strict=True):  # type: ignore[arg-type]
            values = [(weights.T * image[top : top + height]).sum() + bias for top in range(3 - height + 1)]
            features.append(activation(torch.stack(values)).max()[None])
    for weights, bias in zip(model.vertical.weight[:, 0, :, 0], model.vertical.bias, strict=True):  # type: ignore[arg-type]
        features.append(sum((w * row for w, row in zip(weights, image, strict=True)), bias))
    state = activation(model.layer.weight @ torch.cat(features) + model.layer.bias)
    return model.own.weight @ torch.cat([state, model.users.weight[user]]) + model.biases[:, 0]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_scores_are_those_of_the_papers_equations(in_order: TrainingData, activation: Any) -> None:
    model = _model(in_order, activation)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 1: [5, 8], 3: [0, 7, 1], 4: [8], 5: [0, 5]}.items():
        torch.testing.assert_close(scores[user], _scores(model, user, history, getattr(torch, activation)))
    assert not scores[2].any()


def test_the_loss_is_that_of_all_that_follows_a_history(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "user": torch.tensor([[3], [0], [1]]),
        "item": torch.tensor([[3, 1, 0], [2, 6, 0], [8, 0, 0]]),
        "length": torch.tensor([[2], [3], [1]]),
        "target": torch.tensor([[4, 5], [7, 1], [2, 3]]),
        "negative": torch.tensor([[[0], [1]], [[2], [3]], [[4], [5]]]),
    }
    rows = ((3, [3, 1], [4, 5], [0, 1]), (0, [2, 6, 0], [7, 1], [2, 3]), (1, [8], [2, 3], [4, 5]))
    losses = []
    for user, history, positives, negatives in rows:
        chances = torch.sigmoid(_scores(model, user, history))
        losses += [-chances[positives].log(), -(1 - chances[negatives]).log()]
    torch.testing.assert_close(model.training_loss(batch, BCELoss4Logits()), torch.cat(losses).mean())
