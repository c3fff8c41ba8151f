"""The model `fearec`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.config.resolve import resolve
from recrun.criterions import CrossEntropy4Logits
from recrun.data.interactions import TrainingData
from recrun.errors import ConfigError
from recrun.models.bsarec import band_pass
from recrun.models.cl4srec import contrast_views
from recrun.models.fearec import FEARec, ramp

BATCH = {
    "user": torch.tensor([[0], [3], [5], [3]]),
    "item": torch.tensor([[3, 1, 0], [2, 6, 0], [0, 0, 0], [2, 6, 0]]),
    "length": torch.tensor([[2], [2], [1], [2]]),
    "target": torch.tensor([[4], [0], [5], [7]]),
}


def _model(data: TrainingData, **settings: Any) -> FEARec:
    torch.manual_seed(3)
    model = FEARec(data, **{"max_length": 6, "embedding_dim": 4, **settings})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def _norm(states: Tensor, module: Any) -> Tensor:
    centred = states - states.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
    weighted: Tensor = module.weight * scaled + module.bias
    return weighted


def _written_out(model: Any, items: list[int], bands: list[tuple[int, int]], n_delays: int, gamma: float) -> Tensor:
    """Return the state after the last item, one position, delay and head at a time and by Fourier transforms."""
    width, n = model.max_length, len(items)
    states = model.positions.weight.clone()
    states[width - n :] = states[width - n :] + model.items.weight[items]
    states = _norm(states, model.norm)
    for block, (left, right) in zip(model.blocks, bands, strict=True):
        queries, keys, values = block.attention.inputs(states).chunk(3, dim=-1)
        spectra = [torch.fft.rfft(each, dim=0) for each in (queries, keys, values)]
        for spectrum in spectra:
            spectrum[:left], spectrum[right:] = 0, 0
        correlations = torch.fft.irfft(spectra[0] * spectra[1].conj(), n=width, dim=0).mean(1)
        best = correlations.argsort(descending=True)[:n_delays]
        by_delay = sum(
            weight * values.roll(-int(delay), 0)
            for weight, delay in zip(correlations[best].softmax(0), best, strict=True)
        )
        queries, keys, values = (torch.fft.irfft(each, n=width, dim=0) for each in spectra)
        by_state = torch.zeros_like(values)
        for place in range(width):
            seen = slice(width - n, place + 1) if place >= width - n else slice(0, width)
            for head in (slice(0, 2), slice(2, 4)):
                logits = keys[seen, head] @ queries[place, head] / math.sqrt(2)
                by_state[place, head] = logits.softmax(0) @ values[seen, head]
        mixed = block.attention.output(gamma * by_delay + (1 - gamma) * by_state)
        attended = _norm(states + mixed, block.norms[0])
        states = _norm(attended + block.outer(F.gelu(block.inner(attended))), block.norms[1])
    return states[-1]


@pytest.mark.parametrize(
    ("settings", "bands", "n_delays"),
    [
        ({"frequency_share": 0.6, "frequency_weight": 0.7}, [(1, 4), (0, 3)], 1),
        ({"frequency_share": 0.3, "frequency_weight": 0.4, "delay_factor": 2}, [(2, 4), (0, 2)], 3),
        ({"max_length": 7, "frequency_share": 1.0, "delay_factor": 9}, [(0, 4), (0, 4)], 7),
        ({"n_layers": 1, "frequency_weight": 0.0}, [(0, 4)], 1),
        ({"n_layers": 3, "frequency_weight": 1.0, "delay_factor": 1.2}, [(1, 4), (1, 4), (1, 4)], 2),
    ],
)
def test_scores_are_those_of_the_formula_with_fourier_transforms(
    in_order: TrainingData, settings: dict[str, Any], bands: list[tuple[int, int]], n_delays: int
) -> None:
    model = _model(in_order, **settings)
    scores = model.score(torch.arange(6))
    for user, history in {0: [3, 1, 4], 3: [2, 6, 0, 7, 1], 4: [8]}.items():
        state = _written_out(model, history, bands, n_delays, settings.get("frequency_weight", 0.9))
        torch.testing.assert_close(scores[user], state @ model.items.weight.T, rtol=1e-5, atol=1e-6)
    assert not scores[2].any(), "a user without items has no state"


def test_layers_slide_from_the_highest_frequencies_to_the_lowest() -> None:
    assert ramp(26, 2, 0.6) == [(10, 26), (0, 16)]
    assert ramp(26, 3, 0.6) == [(10, 26), (5, 21), (0, 16)]
    assert ramp(26, 2, 0.4) == [(13, 26), (0, 13)]
    assert ramp(26, 3, 0.0) == [(17, 26), (8, 17), (0, 8)]
    assert ramp(26, 1, 0.1) == ramp(26, 1, 1.0) == [(0, 26)]
    assert ramp(26, 4, 1.0) == [(0, 26)] * 4


@pytest.mark.parametrize("width", [7, 8])
def test_a_band_keeps_its_waves_and_removes_all_others(width: int) -> None:
    places = torch.arange(width) / width * 2 * torch.pi
    for frequency in range(width // 2 + 1):
        wave = torch.cos(frequency * places)
        expected = wave if 1 <= frequency < 3 else torch.zeros(width)
        torch.testing.assert_close(band_pass(width, 1, 3) @ wave, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_loss_is_that_of_the_targets_and_the_weighted_ones_of_the_pairs(
    in_order: TrainingData, similarity: Any
) -> None:
    weights = {"contrast_weight": 0.3, "contrast_temperature": 2.0, "spectrum_weight": 0.7}
    model = _model(in_order, **weights, contrast_similarity=similarity)
    terms = [
        -(model.items.weight @ model.read(row[None, :n], n)[0]).log_softmax(0)[target]
        for row, n, target in zip(BATCH["item"], BATCH["length"], BATCH["target"][:, 0], strict=True)
    ]
    of_targets = _model(in_order, contrast_weight=0, spectrum_weight=0).training_loss(BATCH, CrossEntropy4Logits())
    torch.testing.assert_close(of_targets, torch.stack(terms).mean())
    torch.manual_seed(11)
    loss = model.training_loss(BATCH, CrossEntropy4Logits())
    torch.manual_seed(11)
    pairs = model.same_target.draw_histories(BATCH["user"][:, 0], BATCH["target"][:, 0], 6)
    again, same = (
        torch.stack([model.read(row[None, :n], n[None])[0] for row, n in zip(items, lengths, strict=True)])
        for items, lengths in ((BATCH["item"], BATCH["length"][:, 0]), pairs)
    )
    # With D = 4 dimensions the spectrum has the frequencies 0, 1 and 2; orthonormal, so over the root of D.
    waves = torch.exp(-2j * torch.pi / 4 * torch.arange(3)[:, None] * torch.arange(4)).to(torch.complex128)
    spectra = [(each.to(torch.complex128) @ waves.T) / 2 for each in (again, same)]
    difference = (spectra[0] - spectra[1]).abs().mean()
    contrast = contrast_views(again, same, 2.0, similarity)
    torch.testing.assert_close(loss, of_targets + 0.3 * contrast + 0.7 * difference)


def test_either_loss_of_the_pairs_may_be_left_out(in_order: TrainingData) -> None:
    losses = []
    for contrast, spectrum in ((0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)):
        torch.manual_seed(11)
        model = _model(in_order, contrast_weight=contrast, spectrum_weight=spectrum)
        torch.manual_seed(11)
        losses.append(model.training_loss(BATCH, CrossEntropy4Logits()))
    plain, contrasted, regularized, both = losses
    torch.testing.assert_close(both - plain, contrasted - plain + regularized - plain)
    assert contrasted > plain
    assert regularized > plain


def test_dropout_works_in_training_only(in_order: TrainingData) -> None:
    for rates in ({"dropout": 0.5, "attention_dropout": 0.0}, {"dropout": 0.0, "attention_dropout": 0.5}):
        model = _model(in_order, **rates)
        items, lengths = torch.tensor([[3, 1, 4]]), torch.tensor([3])
        assert torch.equal(model(items, lengths), model(items, lengths))
        model.train()
        assert not torch.equal(model(items, lengths), model(items, lengths))


def test_settings_that_do_not_apply_are_refused() -> None:
    assert resolve("fearec").config.sequence_rows == "prefixes"
    with pytest.raises(ConfigError, match="expected prefixes, found all_positions"):
        resolve("fearec", ["sequence_rows=all_positions"])
    with pytest.raises(ConfigError, match="contrast_similarity: does not apply: contrast_weight is 0"):
        resolve("fearec", ["contrast_weight=0", "contrast_similarity=cosine"])
