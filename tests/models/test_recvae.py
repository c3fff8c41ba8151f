"""The model `recvae`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, Normal

from recrun.criterions import MultinomialLoss
from recrun.data.interactions import TrainingData
from recrun.models.recvae import Encoder, RecVAE

USERS = torch.tensor([4, 7, 0])
Build = Callable[..., TrainingData]


def _model(data: TrainingData, **settings: float) -> RecVAE:
    torch.manual_seed(2)
    return RecVAE(data, hidden_dim=6, latent_dim=3, **settings).double()  # type: ignore[arg-type]


def _rows(table: np.ndarray, users: Tensor = USERS) -> Tensor:
    return torch.from_numpy(table[users.numpy()]).double()


def _loss(model: RecVAE, users: Tensor = USERS, seed: int = 5) -> Tensor:
    torch.manual_seed(seed)
    return model.training_loss({"user": users[:, None]}, MultinomialLoss())


def _encode(encoder: Encoder, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Encode rows (B, I) layer by layer, as the paper's figure 2 and its authors' code do."""
    h = F.normalize(rows) @ encoder.inputs.weight + encoder.input_bias
    outputs = [encoder.norms[0](h * torch.sigmoid(h))]
    for layer, norm in zip(encoder.layers, list(encoder.norms)[1:], strict=True):
        h = layer(outputs[-1]) + sum(outputs)
        outputs.append(norm(h * torch.sigmoid(h)))
    return encoder.mean(outputs[-1]), encoder.log_variance(outputs[-1])


def test_scores_are_those_of_the_mean(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table)).eval()
    expected = _encode(model.encoder, _rows(table))[0] @ model.outputs.weight.T + model.outputs.bias
    torch.testing.assert_close(model.score(USERS), expected)
    torch.testing.assert_close(model.score_rows(_rows(table)), expected)


@pytest.mark.parametrize("scale_kl", [True, False])
def test_the_loss_is_the_likelihood_and_the_weighted_divergence_from_the_mixture(
    data_of: Build, table: np.ndarray, scale_kl: bool
) -> None:
    settings = {"dropout": 0.0, "kl_weight": 0.3, "previous_weight": 0.5, "wide_weight": 0.2}
    model = _model(data_of(table), scale_kl=scale_kl, **settings)
    rows = _rows(table)
    mean, log_variance = _encode(model.encoder, rows)
    before, log_variance_before = _encode(model.previous, rows)
    torch.manual_seed(5)
    latent = mean + torch.randn_like(mean) * torch.exp(log_variance / 2)
    means = torch.stack([torch.zeros_like(before), before, torch.zeros_like(before)], dim=-1)
    logs = torch.stack([torch.zeros_like(before), log_variance_before, torch.full_like(before, 10.0)], dim=-1)
    prior = MixtureSameFamily(
        Categorical(torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)), Normal(means, torch.exp(logs / 2))
    )
    divergence = (Normal(mean, torch.exp(log_variance / 2)).log_prob(latent) - prior.log_prob(latent)).sum(1)
    likelihood = -(torch.log_softmax(latent @ model.outputs.weight.T + model.outputs.bias, 1) * rows).sum(1)
    beta = 0.3 * rows.sum(1) if scale_kl else 0.3
    torch.testing.assert_close(_loss(model), (likelihood + beta * divergence).mean())


def test_encoder_and_decoder_take_turns_and_the_prior_is_renewed_between_them(
    data_of: Build, table: np.ndarray
) -> None:
    model = _model(data_of(table), encoder_epochs=2, decoder_epochs=1)
    users = torch.from_numpy(np.flatnonzero(table.sum(1)))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    changed, renewed = [], []
    for _ in range(6):  # epochs
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        for part in users.split(12):
            optimizer.zero_grad()
            _loss(model, part).backward()
            optimizer.step()
        after = model.state_dict()
        moved = {name.partition(".")[0] for name in after if not torch.equal(before[name], after[name])}
        changed.append(moved - {"n_trained", "previous"})
        renewed.append("previous" in moved)
    assert changed == [{"encoder"}, {"encoder"}, {"outputs"}] * 2
    assert renewed == [False, False, True] * 2
    for name, tensor in model.previous.state_dict().items():
        assert torch.equal(tensor, model.encoder.state_dict()[name])


def test_the_copy_in_the_prior_is_no_parameter_but_part_of_the_state(data_of: Build, table: np.ndarray) -> None:
    model = _model(data_of(table))
    assert {name.partition(".")[0] for name, _ in model.named_parameters()} == {"encoder", "outputs"}
    assert "previous.inputs.weight" in model.state_dict()


def test_only_the_encoder_is_trained_with_dropout(data_of: Build, table: np.ndarray) -> None:
    data, users = data_of(table), torch.from_numpy(np.flatnonzero(table.sum(1)))
    losses = []
    for dropout in (0.0, 0.9):
        model = _model(data, dropout=dropout, kl_weight=0.0, encoder_epochs=1)
        losses.append([float(_loss(model, users).detach()) for _ in range(2)])
    assert losses[0][0] != losses[1][0]
    model = _model(data, dropout=0.9, encoder_epochs=1)
    _loss(model, users)
    torch.testing.assert_close(_loss(model, seed=3), _loss(_past_the_encoder(data), seed=3))


def _past_the_encoder(data: TrainingData) -> RecVAE:
    model = _model(data, dropout=0.0, encoder_epochs=1)
    model.n_trained += model.n_rows
    return model
