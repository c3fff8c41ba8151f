"""The model `narm`."""

from __future__ import annotations

import torch
from torch import Tensor

from recrun.criterions import CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.models.narm import NARM


def _model(data: TrainingData, **settings: float) -> NARM:
    torch.manual_seed(2)
    model = NARM(data, max_length=3, embedding_dim=4, hidden_dim=3, **settings).double().eval()  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return model


def _state(model: NARM, history: list[int]) -> Tensor:
    """Return the state by the equations of the paper, one item at a time."""
    hidden, states = torch.zeros(3).double(), []
    for item in history:
        of_item = (model.gru.weight_ih_l0 @ model.items.weight[item]).chunk(3)
        of_hidden = (model.gru.weight_hh_l0 @ hidden).chunk(3)
        reset, update = torch.sigmoid(of_item[0] + of_hidden[0]), torch.sigmoid(of_item[1] + of_hidden[1])
        hidden = (1 - update) * torch.tanh(of_item[2] + reset * of_hidden[2]) + update * hidden
        states.append(hidden)
    of_last = model.of_last.weight @ hidden
    weights = [model.weight.weight[0] @ torch.sigmoid(of_last + model.of_each.weight @ each) for each in states]
    local = torch.stack([weight * each for weight, each in zip(weights, states, strict=True)]).sum(0)
    return model.output.weight @ torch.cat([hidden, local])


def test_scores_are_those_of_the_papers_equations(in_order: TrainingData) -> None:
    model = _model(in_order)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 1: [5, 8], 3: [0, 7, 1], 4: [8], 5: [0, 5]}.items():
        torch.testing.assert_close(scores[user], model.items.weight @ _state(model, history))
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


def test_dropout_is_on_the_embeddings_or_on_the_two_states(in_order: TrainingData) -> None:
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    for rate in ("dropout", "output_dropout"):
        model = _model(in_order, **{"dropout": 0.0, "output_dropout": 0.0, rate: 0.5}).train()
        same = _model(in_order, dropout=0.0, output_dropout=0.0).train()
        assert not torch.equal(model(items, lengths), model(items, lengths))
        assert torch.equal(same(items, lengths), same(items, lengths))
