"""Mult-VAE: a variational autoencoder of users' interactions.

Shapes: B users in a batch, I items, H hidden units, Z latent dimensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch
from recrun.architectures.whole_rows import AutoencoderArch, encode_rows, unit_rows
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("multvae", loss="multinomial", vectors=False, new_users=True, gradients="mixed")
class MultVAE(AutoencoderArch):
    """Reconstruct each user's interactions by a variational autoencoder with a multinomial likelihood.

    A tanh layer encodes the row, scaled to length 1 and with dropout in training, as mean and variance of the latent z;
    another decodes z into scores. The loss is that of the row plus β times the KL divergence of z from N(0, 1), with β
    rising to `kl_weight` over the first `kl_warmup_steps` training batches. Ranking uses the scores at the mean.

    *Source:* Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018,
    sections 2.1 to 2.3, and 2.2.2 for β.

    Args:
        hidden_dim: H, units of the hidden layers.
        latent_dim: Z, dimensions of the latent variable.
        dropout: dropout rate of a row's items.
        kl_weight: final value of β.
        kl_warmup_steps: batches over which β rises from 0; 0 for the final value from the start.
    """

    n_steps: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        hidden_dim: PositiveInt = 600,
        latent_dim: PositiveInt = 200,
        dropout: Fraction = 0.5,
        kl_weight: NonNegativeFloat = 0.2,
        kl_warmup_steps: NonNegativeInt = 40000,
    ) -> None:
        super().__init__(data)
        self.dropout, self.kl_weight, self.kl_warmup_steps = dropout, kl_weight, kl_warmup_steps
        self.inputs = nn.EmbeddingBag(data.n_items, hidden_dim, mode="sum")
        self.input_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.latent = nn.Linear(hidden_dim, 2 * latent_dim)
        self.hidden = nn.Linear(latent_dim, hidden_dim)
        self.outputs = nn.Linear(hidden_dim, data.n_items)
        self.initialize()
        nn.init.xavier_normal_(self.inputs.weight)
        # The number of batches trained so far; a buffer, so that it survives a resume.
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1), plus the KL divergence of their latent variables."""
        users = batch[self.user_column][:, 0]
        mean_BZ, log_variance_BZ = self.encode(self.rows.of(users))
        latent_BZ = mean_BZ + torch.randn_like(mean_BZ) * torch.exp(log_variance_BZ / 2)
        loss = criterion.from_rows(self.decode(latent_BZ), self.rows.dense(users))
        divergence_B = (mean_BZ.square() + log_variance_BZ.exp() - 1 - log_variance_BZ).sum(dim=1) / 2
        warmth = (self.n_steps / max(1, self.kl_warmup_steps)).clamp(max=1) if self.kl_warmup_steps else 1.0
        self.n_steps += 1
        return loss + self.kl_weight * warmth * divergence_B.mean()

    def encode(self, rows: CSR) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, (B, Z) each, of the latent variables of rows (B, I), given as their items."""
        sums_BH = encode_rows(rows, self.inputs.weight, self.dropout, training=self.training)
        hidden_BH = torch.tanh(sums_BH + self.input_bias)
        mean_BZ, log_variance_BZ = self.latent(hidden_BH).chunk(2, dim=1)
        return mean_BZ, log_variance_BZ

    def decode(self, latent: Tensor) -> Tensor:
        """Return the scores (B, I) of latent variables (B, Z)."""
        scores: Tensor = self.outputs(torch.tanh(self.hidden(latent)))
        return scores

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        return self.decode(self.encode(histories.distinct())[0])

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""
        hidden_BH = torch.tanh(unit_rows(rows) @ self.inputs.weight + self.input_bias)
        return self.decode(self.latent(hidden_BH).chunk(2, dim=1)[0])
