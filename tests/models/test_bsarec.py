"""The model `bsarec`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions import CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.models.bsarec import BSARec, band_pass


def _model(data: TrainingData, **settings: Any) -> BSARec:
    torch.manual_seed(3)
    model = BSARec(data, **{"max_length": 6, "embedding_dim": 4, "low_frequencies": 3, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def _written_out(model: BSARec, items: list[int], alpha: float, n_bins: int) -> Tensor:
    """Return the state after the last item, by the equations of the paper and with torch's Fourier transform."""
    width, n = 6, len(items)
    states = model.positions.weight.clone()
    states[width - n :] = states[width - n :] + model.items.weight[items]
    states = _norm(states, model.norm)
    first = width - n
    for block in model.blocks:
        spectrum = torch.fft.rfft(states, dim=0, norm="ortho")
        spectrum = torch.cat([spectrum[:n_bins], torch.zeros_like(spectrum[n_bins:])])
        low = torch.fft.irfft(spectrum, n=width, dim=0, norm="ortho")
        filtered = _norm(states + low + block.sqrt_beta**2 * (states - low), block.filter_norm)  # type: ignore[operator]
        queries, keys, values = block.attention.inputs(states).chunk(3, dim=-1)  # type: ignore[operator, union-attr]
        rows = []
        for place in range(width):
            seen = slice(first, place + 1) if place >= first else slice(0, width)
            rows.append((keys[seen] @ queries[place] / 2).softmax(0) @ values[seen])
        attended = states + block.attention.output(torch.stack(rows))  # type: ignore[operator, union-attr]
        mixed = alpha * filtered + (1 - alpha) * _norm(attended, block.norms[0])  # type: ignore[index]
        thought = block.outer(F.gelu(block.inner(mixed)))  # type: ignore[operator]
        states = _norm(mixed + thought, block.norms[1])  # type: ignore[index]
    return states[-1]


def _norm(states: Tensor, module: Any) -> Tensor:
    centred = states - states.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    weighted: Tensor = module.weight * scaled + module.bias
    return weighted


@pytest.mark.parametrize(("alpha", "c", "n_bins"), [(0.7, 3, 2), (0.3, 4, 3), (1.0, 1, 1), (0.0, 9, 4)])
def test_scores_are_those_of_the_paper_on_rows_that_end_at_the_last_position(
    in_order: TrainingData, alpha: float, c: int, n_bins: int
) -> None:
    model = _model(in_order, frequency_weight=alpha, low_frequencies=c)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [2, 6, 0, 7, 1], 4: [8]}.items():
        expected = _written_out(model, history, alpha, n_bins) @ model.items.weight.T
        torch.testing.assert_close(scores[user], expected, rtol=1e-5, atol=1e-6)
    assert not scores[2].any(), "a user without items has no state"


def test_the_loss_is_the_cross_entropy_of_what_follows_each_prefix(in_order: TrainingData) -> None:
    model = _model(in_order)
    batch = {
        "item": torch.tensor([[3, 1, 0], [2, 6, 7], [8, 0, 0]]),
        "length": torch.tensor([[2], [3], [1]]),
        "target": torch.tensor([[4], [1], [5]]),
    }
    told = {(3, 1): 4, (2, 6, 7): 1, (8,): 5}
    terms = [
        -(model.items.weight @ _written_out(model, list(items), 0.7, 2)).log_softmax(0)[target]
        for items, target in told.items()
    ]
    loss = model.training_loss(batch, CrossEntropy4Logits())
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [7, 8])
def test_the_filter_keeps_slow_waves_and_removes_fast_ones(width: int) -> None:
    places = torch.arange(width) / width * 2 * torch.pi
    low = band_pass(width, 0, 3)
    for frequency in range(width // 2 + 1):
        wave = torch.cos(frequency * places + 0.3)
        torch.testing.assert_close(low @ wave, wave if frequency <= 2 else torch.zeros(width), rtol=0, atol=1e-5)


def test_dropout_works_in_training_only(in_order: TrainingData) -> None:
    for rates in ({"dropout": 0.5, "attention_dropout": 0.0}, {"dropout": 0.0, "attention_dropout": 0.5}):
        model = _model(in_order, **rates)
        items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
        assert torch.equal(model(items, lengths), model(items, lengths))
        model.train()
        assert not torch.equal(model(items, lengths), model(items, lengths))


def test_each_of_the_three_maps_of_attention_starts_by_xavier_initialisation_of_its_own(in_order: TrainingData) -> None:
    torch.manual_seed(0)
    model = BSARec(in_order, max_length=6, embedding_dim=256, n_layers=1)
    weight = model.blocks[0].attention.inputs.weight  # type: ignore[union-attr]
    assert weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)  # type: ignore[operator]
