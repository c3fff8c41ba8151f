"""The model `fmlprec`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions import BPRLoss
from recrun.data.interactions import TrainingData
from recrun.models.fmlprec import FilterLayer, FMLPRec


def _model(data: TrainingData, **settings: Any) -> FMLPRec:
    torch.manual_seed(3)
    model = FMLPRec(data, **{"max_length": 6, "embedding_dim": 4, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def _written_out(model: FMLPRec, items: list[int]) -> Tensor:
    """Return the state after the last item, by the equations of the paper and with torch's Fourier transform."""
    width = model.max_length
    states = model.positions.weight.clone()
    states[width - len(items) :] += model.items.weight[items]
    states = F.layer_norm(states, (4,), model.norm.weight, model.norm.bias, 1e-12)
    for block in model.blocks:
        weights = torch.view_as_complex(block.filter.filter)  # type: ignore[union-attr, arg-type]
        mixed = torch.fft.irfft(torch.fft.rfft(states, dim=0, norm="ortho") * weights, n=width, dim=0, norm="ortho")
        first, second = block.norms  # type: ignore[misc]
        filtered = F.layer_norm(states + mixed, (4,), first.weight, first.bias, 1e-12)
        thought = block.outer(F.gelu(block.inner(filtered)))  # type: ignore[operator]
        states = F.layer_norm(filtered + thought, (4,), second.weight, second.bias, 1e-12)
    return states[-1]


@pytest.mark.parametrize("max_length", [5, 6])
def test_scores_are_those_of_the_paper_on_rows_that_end_at_the_last_position(
    in_order: TrainingData, max_length: int
) -> None:
    model = _model(in_order, max_length=max_length, n_layers=3)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [2, 6, 0, 7, 1], 4: [8]}.items():
        expected = _written_out(model, history) @ model.items.weight.T
        torch.testing.assert_close(scores[user], expected, rtol=1e-5, atol=1e-6)
    assert not scores[2].any(), "a user without items has no state"


def test_the_loss_compares_what_follows_each_prefix_with_a_negative(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "item": torch.tensor([[3, 1, 0], [2, 6, 7], [8, 0, 0]]),
        "length": torch.tensor([[2], [3], [1]]),
        "target": torch.tensor([[4], [1], [5]]),
        "negative": torch.tensor([[[0]], [[2]], [[7]]]),
    }
    vectors = model.items.weight
    terms = [
        -F.logsigmoid(_written_out(model, items) @ (vectors[target] - vectors[negative]))
        for items, target, negative in (([3, 1], 4, 0), ([2, 6, 7], 1, 2), ([8], 5, 7))
    ]
    loss = model.training_loss(batch, BPRLoss())
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [1, 2, 7, 8])
def test_the_convolution_is_the_product_of_the_spectra_and_has_its_gradients(width: int) -> None:
    torch.manual_seed(0)
    layer = FilterLayer(width, 3).double()
    torch.nn.init.normal_(layer.filter)
    states = torch.randn(2, width, 3, dtype=torch.float64)
    product = torch.fft.rfft(states, dim=1) * torch.view_as_complex(layer.filter)
    expected = torch.fft.irfft(product, n=width, dim=1)
    torch.testing.assert_close(layer(states), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(states, last_only=True), expected[:, -1:], rtol=1e-5, atol=1e-6)
    weights = torch.randn_like(expected)
    ours, theirs = (
        torch.autograd.grad((output * weights).sum(), layer.filter)[0] for output in (layer(states), expected)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_dropout_works_in_training_only(in_order: TrainingData) -> None:
    model = _model(in_order, dropout=0.5)
    items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
    assert torch.equal(model(items, lengths), model(items, lengths))
    model.train()
    assert not torch.equal(model(items, lengths), model(items, lengths))


def test_all_weights_start_with_the_same_deviation(in_order: TrainingData) -> None:
    torch.manual_seed(0)
    model = FMLPRec(in_order, max_length=50, embedding_dim=128, n_layers=1, init_std=0.3)
    block = model.blocks[0]
    for weights in (model.positions.weight, block.inner.weight, block.filter.filter):  # type: ignore[union-attr]
        assert weights.std().item() == pytest.approx(0.3, rel=0.05)  # type: ignore[operator]
    assert not block.outer.bias.any()  # type: ignore[union-attr, operator]
