"""The model `transrec`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.transrec import TransRec


def _model(data: TrainingData, unit_ball: bool = True) -> TransRec:
    torch.manual_seed(2)
    model = TransRec(data, embedding_dim=4, unit_ball=unit_ball).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def _score(model: TransRec, user: int, last: int, item: int) -> Tensor:
    """Return the score by the paper's equation; vectors of items outside the unit ball are put on it."""
    inside = [model.items.weight[each] for each in (last, item)]
    if model.unit_ball:
        inside = [each / each.norm() if each.norm() > 1 else each for each in inside]
    moved = inside[0] + model.translation + model.users.weight[user]
    return model.biases[item, 0] - (moved - inside[1]).square().sum()


@pytest.mark.parametrize("unit_ball", [True, False])
def test_scores_are_biases_less_squared_distances(in_order: TrainingData, unit_ball: bool) -> None:
    model = _model(in_order, unit_ball)
    lengths = model.items.weight.norm(dim=1)
    assert (lengths > 1).any()
    assert (lengths < 1).any()
    scores = model.score(torch.arange(6))
    for user, last in {0: 4, 1: 8, 3: 1, 4: 8, 5: 5}.items():
        torch.testing.assert_close(scores[user], torch.stack([_score(model, user, last, item) for item in range(9)]))
    assert not scores[2].any()


def test_the_loss_is_bpr_of_what_follows(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "user": torch.tensor([[3], [0]]),
        "item": torch.tensor([[3], [6]]),
        "length": torch.tensor([[1], [1]]),
        "target": torch.tensor([[4], [7]]),
        "negative": torch.tensor([[[0]], [[2]]]),
    }
    differences = [_score(model, 3, 3, 4) - _score(model, 3, 3, 0), _score(model, 0, 6, 7) - _score(model, 0, 6, 2)]
    expected = -torch.sigmoid(torch.stack(differences)).log().mean()
    torch.testing.assert_close(model.training_loss(batch, BPRLoss()), expected)


def test_it_starts_with_unit_vectors_and_no_difference_between_users(in_order: TrainingData) -> None:
    model = TransRec(in_order, embedding_dim=5)
    torch.testing.assert_close(model.items.weight.norm(dim=1), torch.ones(9))
    assert model.translation.norm().item() == pytest.approx(1)
    assert not model.users.weight.any()
    assert not model.biases.any()


def test_only_the_last_item_is_read() -> None:
    with pytest.raises(ConfigError, match="max_length: expected 1, since only the last item is read; found 5"):
        resolve("transrec", ["max_length=5"])


def test_padding_changes_no_state(in_order: TrainingData) -> None:
    model = _model(in_order)
    padded = model.read(torch.tensor([[3, 5], [3, 0], [8, 2]]), torch.tensor([1, 1, 1]))
    torch.testing.assert_close(padded, model.read(torch.tensor([[3], [3], [8]]), torch.tensor([1, 1, 1])))
