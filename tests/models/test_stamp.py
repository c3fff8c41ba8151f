"""The model `stamp`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recrun.criterions import CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.models.stamp import STAMP

HISTORIES = {0: [3, 1, 4], 1: [5, 8], 3: [0, 7, 1], 4: [8], 5: [0, 5]}
"""The three latest items of the users in `in_order`."""


def _model(data: TrainingData, added: str = "nothing") -> STAMP:
    torch.manual_seed(2)
    model = STAMP(data, max_length=3, embedding_dim=4, added=added).double()  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def _state(model: STAMP, history: list[int], added: str = "nothing") -> Tensor:
    """Return the state by the equations of the paper, one item at a time."""
    embedded = [model.items.weight[item] for item in history]
    last, mean = embedded[-1], sum(embedded, torch.zeros(())) / len(embedded)
    extra = {"nothing": 0 * last, "mean": mean, "last": last}[added]
    shared = model.of_last.weight @ last + model.of_mean.weight @ mean + model.of_each.bias
    weights = [model.weight.weight[0] @ torch.sigmoid(model.of_each.weight @ each + shared) for each in embedded]
    memory = extra + sum((w * each for w, each in zip(weights, embedded, strict=True)), torch.zeros(()))
    long_term = torch.tanh(model.long_term.weight @ memory + model.long_term.bias)
    return long_term * torch.tanh(model.short_term.weight @ last + model.short_term.bias)


@pytest.mark.parametrize("added", ["nothing", "mean", "last"])
def test_scores_are_those_of_the_papers_equations(in_order: TrainingData, added: str) -> None:
    model = _model(in_order, added)
    scores = model.score(torch.arange(6))
    for user, history in HISTORIES.items():
        torch.testing.assert_close(scores[user], model.items.weight @ _state(model, history, added))
    assert not scores[2].any()


def test_the_loss_is_the_cross_entropy_of_what_follows(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "item": torch.tensor([[3, 1, 0], [2, 6, 0], [8, 0, 0]]),
        "length": torch.tensor([[2], [3], [1]]),
        "target": torch.tensor([[4], [7], [2]]),
    }
    logits = torch.stack([model.items.weight @ _state(model, history) for history in ([3, 1], [2, 6, 0], [8])])
    expected = (logits.logsumexp(1) - logits[range(3), [4, 7, 2]]).mean()
    torch.testing.assert_close(model.training_loss(batch, CrossEntropy4Logits()), expected)


def test_weights_start_as_the_settings_say(in_order: TrainingData) -> None:
    torch.manual_seed(0)
    model = STAMP(in_order, embedding_dim=200, init_std=0.3, weight_std=0.02)
    assert model.items.weight.std().item() == pytest.approx(0.3, rel=0.1)
    for layer in (model.of_each, model.of_last, model.of_mean, model.long_term, model.short_term):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert layer.bias is None or not layer.bias.any()
