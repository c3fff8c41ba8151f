"""The model `fpmc`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.fpmc import FPMC


def _model(data: TrainingData, max_length: int) -> FPMC:
    torch.manual_seed(2)
    return FPMC(data, max_length=max_length, embedding_dim=4, init_std=0.7).double()


def _score(model: FPMC, user: int, basket: list[int], item: int) -> Tensor:
    taste = model.users.weight[user] @ model.items.weight[item]
    return taste + sum(model.last_items.weight[last] @ model.next_items.weight[item] for last in basket) / len(basket)


@pytest.mark.parametrize("n_last", [1, 2])
def test_scores_are_those_of_the_papers_equation(in_order: TrainingData, n_last: int) -> None:
    model = _model(in_order, n_last)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 1: [5, 8], 3: [2, 6, 0, 7, 1], 4: [8], 5: [0, 5]}.items():
        expected = torch.stack([_score(model, user, history[-n_last:], item) for item in range(9)])
        torch.testing.assert_close(scores[user], expected)
    assert not scores[2].any()


def test_the_loss_is_bpr_of_what_follows(in_order: TrainingData) -> None:
    model = _model(in_order, 1)
    batch = {
        "user": torch.tensor([[3], [0]]),
        "item": torch.tensor([[3], [6]]),
        "length": torch.tensor([[1], [1]]),
        "target": torch.tensor([[4], [7]]),
        "negative": torch.tensor([[[0]], [[2]]]),
    }
    differences = [_score(model, 3, [3], 4) - _score(model, 3, [3], 0)]
    differences.append(_score(model, 0, [6], 7) - _score(model, 0, [6], 2))
    expected = -torch.sigmoid(torch.stack(differences)).log().mean()
    torch.testing.assert_close(model.training_loss(batch, BPRLoss()), expected)


def test_vectors_start_as_the_settings_say(in_order: TrainingData) -> None:
    model = FPMC(in_order, embedding_dim=500, initialization="xavier")
    assert model.users.weight.std().item() == pytest.approx((2 / 506) ** 0.5, rel=0.1)
    assert model.last_items.weight.std().item() == pytest.approx((2 / 509) ** 0.5, rel=0.1)
    assert FPMC(in_order, embedding_dim=500).items.weight.std().item() == pytest.approx(0.01, rel=0.1)
    with pytest.raises(ConfigError, match="init_std: does not apply: it is for initialization=normal, found xavier"):
        resolve("fpmc", ["initialization=xavier", "init_std=0.1"])
