"""The model `multvae`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.criterions import MultinomialLoss
from recrun.data.interactions import TrainingData
from recrun.models.multvae import MultVAE

USERS = torch.tensor([4, 3, 0])  # user 3 has no items


def _model(data: TrainingData, **settings: float) -> MultVAE:
    torch.manual_seed(2)
    return MultVAE(data, hidden_dim=6, latent_dim=3, **settings)  # type: ignore[arg-type]


def _plain(model: MultVAE, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Encode rows (B, I) as the paper writes it: a normalised row times a matrix."""
    normed = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return model.latent(torch.tanh(normed @ model.inputs.weight + model.input_bias)).chunk(2, dim=1)


def test_scores_are_those_of_the_mean_of_normalised_rows(
    data_of: Callable[..., TrainingData], table: np.ndarray
) -> None:
    model = _model(data_of(table)).eval()
    rows = torch.from_numpy(table[USERS.numpy()]).float()
    mean, _ = _plain(model, rows)
    torch.testing.assert_close(model.score(USERS), model.outputs(torch.tanh(model.hidden(mean))))


def test_the_divergence_grows_with_the_batches_trained(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    data = data_of(table)
    model = _model(data, dropout=0.0, kl_weight=0.5, kl_warmup_steps=4)
    rows = torch.from_numpy(table[USERS.numpy()]).float()
    mean, log_variance = _plain(model, rows)
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    prior = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    divergence = torch.distributions.kl_divergence(posterior, prior).sum(dim=1).mean()
    for warmth in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0):
        torch.manual_seed(7)
        latent = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
        expected = MultinomialLoss()(model.decode(latent), rows) + 0.5 * warmth * divergence
        torch.manual_seed(7)
        torch.testing.assert_close(model.training_loss({"user": USERS[:, None]}, MultinomialLoss()), expected)


def test_the_batches_trained_are_part_of_the_state(data_of: Callable[..., TrainingData], table: np.ndarray) -> None:
    model = _model(data_of(table), kl_warmup_steps=0)
    for _ in range(3):
        model.training_loss({"user": USERS[:, None]}, MultinomialLoss())
    fresh = _model(data_of(table))
    fresh.load_state_dict(model.state_dict())
    assert int(fresh.n_steps) == 3


@pytest.mark.parametrize("dropout", [0.0, 0.6])
def test_items_are_dropped_from_rows_in_training(
    data_of: Callable[..., TrainingData], table: np.ndarray, dropout: float
) -> None:
    model = _model(data_of(table), dropout=dropout)
    trained = model.encode(model.rows.of(USERS))[0]
    ranked = model.eval().encode(model.rows.of(USERS))[0]
    assert torch.equal(trained, ranked) == (dropout == 0)
