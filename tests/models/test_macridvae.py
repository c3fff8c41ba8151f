"""The model `macridvae`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions import MultinomialLoss
from recrun.data.interactions import TrainingData
from recrun.models.macridvae import MacridVAE

USERS = torch.tensor([4, 3, 0])  # user 3 has no items
Build = Callable[..., TrainingData]


def _model(data: TrainingData, **settings: float) -> MacridVAE:
    torch.manual_seed(2)
    sizes = {"embedding_dim": 4, "hidden_dim": 5, "n_concepts": 3}
    model = MacridVAE(data, **sizes, **settings).double()  # type: ignore[arg-type]
    for parameter in model.parameters():  # biases too, which start at 0
        torch.nn.init.normal_(parameter)
    return model


def _rows(table: np.ndarray) -> Tensor:
    return torch.from_numpy(table[USERS.numpy()]).double()


def _encode(model: MacridVAE, rows: Tensor, shares: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return the means and log variance ratios of each concept, as algorithm 1 of the paper and its code do."""
    means, log_ratios = [], []
    for k in range(3):
        h = torch.tanh(F.normalize(rows * shares[:, k]) @ model.inputs + model.input_bias)
        h = h @ model.latent.weight.T + model.latent.bias
        means.append(F.normalize(h[:, :4]))
        log_ratios.append(-h[:, 4:])
    return means, log_ratios


def _decode(model: MacridVAE, latent: list[Tensor], shares: Tensor, temperature: float) -> Tensor:
    items = F.normalize(model.items)
    parts = [torch.exp(F.normalize(z) @ items.T / temperature) * shares[:, k] for k, z in enumerate(latent)]
    return torch.log(parts[0] + parts[1] + parts[2])


def _shares(model: MacridVAE, temperature: float) -> Tensor:
    return torch.softmax(F.normalize(model.items) @ F.normalize(model.concepts).T / temperature, dim=1)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_scores_sum_over_concepts(data_of: Build, table: np.ndarray, temperature: float) -> None:
    model = _model(data_of(table), concept_temperature=temperature).eval()
    shares = _shares(model, temperature)
    expected = _decode(model, _encode(model, _rows(table), shares)[0], shares, temperature)
    torch.testing.assert_close(model.score(USERS), expected)
    torch.testing.assert_close(model.score_rows(_rows(table)), expected)


def test_the_loss_is_the_likelihood_the_divergence_and_the_squares(data_of: Build, table: np.ndarray) -> None:
    settings = {"sample_concepts": False, "latent_std": 0.3, "kl_weight": 0.7, "weight_penalty": 0.01}
    model = _model(data_of(table), dropout=0.0, kl_warmup_steps=2, **settings)
    rows, shares = _rows(table), _shares(model, 0.1)
    means, log_ratios = _encode(model, rows, shares)
    for warmth in (0.0, 0.5, 1.0, 1.0):
        torch.manual_seed(5)
        noise = torch.randn(3, 3, 4, dtype=torch.float64)
        latent = [means[k] + noise[:, k] * torch.exp(log_ratios[k] / 2) * 0.3 for k in range(3)]
        log_likelihood = (torch.log_softmax(_decode(model, latent, shares, 0.1), 1) * rows).sum(1).mean()
        divergence = sum(0.5 * (r.exp() - r - 1).sum(1).mean() for r in log_ratios)
        squares = sum((w**2).sum() for w in (model.items, model.concepts, model.inputs, model.latent.weight))
        torch.manual_seed(5)
        loss = model.training_loss({"user": USERS[:, None]}, MultinomialLoss())
        torch.testing.assert_close(loss, -log_likelihood + 0.7 * warmth * divergence + 0.01 * squares)


def test_concepts_are_sampled_by_the_gumbel_softmax_in_training_alone(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table))
    shares = _shares(model, 0.1).log()
    torch.manual_seed(1)
    samples = torch.stack([model.log_shares() for _ in range(4000)])
    torch.testing.assert_close(samples.exp().sum(-1), torch.ones(4000, 20, dtype=torch.float64))
    # The largest of logits with Gumbel noise is each class as often as its probability.
    found = F.one_hot(samples.argmax(-1), 3).double().mean(0)
    torch.testing.assert_close(found, shares.exp(), atol=0.035, rtol=0)
    torch.testing.assert_close(model.eval().log_shares(), shares)
    fixed = _model(data_of(table), sample_concepts=False)
    torch.testing.assert_close(fixed.log_shares(), shares)


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_items_are_dropped_from_rows_in_training(data_of: Build, table: np.ndarray, dropout: float) -> None:
    model = _model(data_of(table), dropout=dropout, sample_concepts=False)
    trained = model.score(USERS)
    assert torch.equal(trained, model.eval().score(USERS)) == (dropout == 0)
