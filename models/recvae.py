"""RecVAE: Mult-VAE with a composite prior, a KL weight for each user, and an encoder and decoder trained in turn.

Shapes: B users in a batch, I items, H hidden units, Z latent dimensions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.prediction import Batch
from recrun.architectures.whole_rows import AutoencoderArch, encode_rows, unit_rows
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, NonNegativeFloat, PositiveInt, UnitInterval, Where

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData

_N_LAYERS: Final = 5
_WIDE_LOG_VARIANCE: Final = 10.0
"""The logarithm of the variance of the widest part of the prior."""


class Encoder(nn.Module):
    """Five layers of swish and layer normalisation, each of which also adds the outputs of all layers before it.

    Args:
        n_items: I.
        hidden_dim: H.
        latent_dim: Z.
    """

    def __init__(self, n_items: int, hidden_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.inputs = nn.EmbeddingBag(n_items, hidden_dim, mode="sum")
        self.input_bias = nn.Parameter(torch.empty(hidden_dim))
        for first in (self.inputs.weight, self.input_bias):  # as in a linear layer of so many inputs
            nn.init.uniform_(first, -(n_items**-0.5), n_items**-0.5)
        self.layers = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(_N_LAYERS - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim, eps=0.1) for _ in range(_N_LAYERS))
        self.mean = nn.Linear(hidden_dim, latent_dim)
        self.log_variance = nn.Linear(hidden_dim, latent_dim)

    def forward(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, (B, Z) each, for products (B, H) of rows with the first layer's weights."""
        layer_BH = self.norms[0](F.silu(sums + self.input_bias))
        total_BH = layer_BH
        for layer, norm in zip(self.layers, list(self.norms)[1:], strict=True):
            layer_BH = norm(F.silu(layer(layer_BH) + total_BH))
            total_BH = total_BH + layer_BH
        return self.mean(layer_BH), self.log_variance(layer_BH)


def freeze(module: nn.Module) -> None:
    """Turn a module's parameters into buffers, so that they are stored but not trained."""
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, parameter.detach())


def log_normal(values: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    """Return the log densities (B, Z) of values under normal distributions, plus log(2π) / 2."""
    spread = torch.as_tensor(log_variance, dtype=values.dtype, device=values.device)
    return -(spread + (values - mean).square() / spread.exp()) / 2


@MODELS.register("recvae", loss="multinomial", vectors=False, new_users=True, gradients="mixed")
class RecVAE(AutoencoderArch):
    """Reconstruct each user's interactions by a variational autoencoder whose prior contains its own earlier posterior.

    A row, scaled to length 1, is encoded by `Encoder` as mean and variance of the latent z, and z is decoded by one
    linear layer. The loss is that of the row plus β times log q(z | x) - log p(z | x) at the sampled z. The prior p
    mixes N(0, 1), the posterior of x by the encoder at the end of its last turn, and N(0, e^10). β is `kl_weight` times
    the number of the user's items, or `kl_weight` alone.

    Encoder and decoder take turns: for `encoder_epochs` epochs only the encoder is trained, from rows with dropout;
    then its copy in the prior is renewed, and for `decoder_epochs` epochs only the decoder is trained, from whole rows.
    Parameters whose turn it is not have no gradient, so optimizers leave them and their running means as they are.

    *Source:* Shenbin, Alekseev, Tutubalina, Malykh, Nikolenko, "RecVAE: A New Variational Autoencoder for Top-N
    Recommendations with Implicit Feedback", WSDM 2020, section 3; the weights of the prior and the layers as in its
    authors' code, where the first encoder in the prior has initial values of its own, too.

    Args:
        hidden_dim: H, units of the encoder's layers.
        latent_dim: Z, dimensions of the latent variable.
        dropout: dropout rate of a row's items while the encoder is trained.
        kl_weight: β of a user with one item.
        scale_kl: whether β grows with the number of the user's items; if not, it is `kl_weight` for all.
        previous_weight: share of the earlier posterior in the prior.
        wide_weight: share of N(0, e^10) in the prior; N(0, 1) has the rest.
        encoder_epochs: epochs of a turn of the encoder.
        decoder_epochs: epochs of a turn of the decoder.
    """

    n_trained: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        hidden_dim: PositiveInt = 600,
        latent_dim: PositiveInt = 200,
        dropout: Fraction = 0.5,
        kl_weight: NonNegativeFloat = 0.005,
        scale_kl: bool = True,
        previous_weight: Annotated[
            UnitInterval,
            Where(
                "previous_weight + wide_weight <= 1",
                "with wide_weight {wide_weight} expected at most 1 together, found {previous_weight}",
            ),
        ] = 0.75,
        wide_weight: UnitInterval = 0.1,
        encoder_epochs: PositiveInt = 3,
        decoder_epochs: PositiveInt = 1,
    ) -> None:
        super().__init__(data)
        self.dropout, self.kl_weight, self.scale_kl = dropout, kl_weight, scale_kl
        self.encoder_epochs, self.cycle = encoder_epochs, encoder_epochs + decoder_epochs
        self.n_rows = int((data.csr().lengths > 0).sum())  # those that an epoch visits
        shares = (max(0.0, 1 - previous_weight - wide_weight), previous_weight, wide_weight)
        self.log_shares = [math.log(share) if share else -math.inf for share in shares]
        # Linear layers keep PyTorch's initial values, as in the authors' code.
        self.encoder = Encoder(data.n_items, hidden_dim, latent_dim)
        self.outputs = nn.Linear(latent_dim, data.n_items)
        self.previous = Encoder(data.n_items, hidden_dim, latent_dim)
        freeze(self.previous)
        # The number of rows trained so far, which tells whose turn it is; a buffer, so that it survives a resume.
        self.register_buffer("n_trained", torch.zeros((), dtype=torch.int64))

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1) and β times the divergence from the prior."""
        users = batch[self.user_column][:, 0]
        trains_encoder = self._take_turn(len(users))
        rows = self.rows.of(users)
        with torch.set_grad_enabled(trains_encoder):
            dropout = self.dropout if trains_encoder else 0.0
            sums_BH = encode_rows(rows, self.encoder.inputs.weight, dropout, training=self.training)
            mean_BZ, log_variance_BZ = self.encoder(sums_BH)
            latent_BZ = mean_BZ + torch.randn_like(mean_BZ) * torch.exp(log_variance_BZ / 2)
            prior_BZ = self.log_prior(latent_BZ, rows)
            divergence_B = (log_normal(latent_BZ, mean_BZ, log_variance_BZ) - prior_BZ).sum(dim=1)
        weights, bias = self.outputs.weight, self.outputs.bias
        if trains_encoder:
            weights, bias = weights.detach(), bias.detach()
        dense_BI = self.rows.dense(users)
        loss = criterion.from_rows(F.linear(latent_BZ, weights, bias), dense_BI)
        weight_B = self.kl_weight * (dense_BI.sum(dim=1) if self.scale_kl else torch.ones_like(divergence_B))
        return loss + (weight_B * divergence_B).mean()

    def log_prior(self, latent: Tensor, rows: CSR) -> Tensor:
        """Return the log densities (B, Z) of latent variables under the prior of rows, plus log(2π) / 2."""
        mean_BZ, log_variance_BZ = self.previous(encode_rows(rows, self.previous.inputs.weight))
        parts = [
            log_normal(latent, 0.0, 0.0),
            log_normal(latent, mean_BZ, log_variance_BZ),
            log_normal(latent, 0.0, _WIDE_LOG_VARIANCE),
        ]
        weighted = [part + log_share for part, log_share in zip(parts, self.log_shares, strict=True)]
        return torch.stack(weighted).logsumexp(dim=0)

    def _take_turn(self, n_users: int) -> bool:
        """Count the rows of a batch, and return whether it trains the encoder; renew the prior where its turn ended."""
        n_before = int(self.n_trained)
        epoch, done = divmod(n_before, self.n_rows)
        place = epoch % self.cycle
        if place == self.encoder_epochs and done == 0:
            self.previous.load_state_dict(self.encoder.state_dict())
        self.n_trained += n_users
        return place < self.encoder_epochs

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        return self._score(encode_rows(histories.distinct(), self.encoder.inputs.weight))

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""
        return self._score(unit_rows(rows) @ self.encoder.inputs.weight)

    def _score(self, sums: Tensor) -> Tensor:
        scores: Tensor = self.outputs(self.encoder(sums)[0])
        return scores
