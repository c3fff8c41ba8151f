"""MacridVAE: a variational autoencoder with a latent variable for each concept that items belong to.

Shapes: B users in a batch, I items, N items of all their rows together, K concepts, H hidden units, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.prediction import Batch
from recrun.architectures.whole_rows import AutoencoderArch
from recrun.data.user_rows import bags_of
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("macridvae", loss="multinomial", vectors=False, new_users=True, gradients="mixed")
class MacridVAE(AutoencoderArch):
    """Reconstruct each user's interactions by a variational autoencoder that splits them by concepts of items.

    With h_i and m_k the unit embeddings of item i and concept k, item i belongs to k with probability c_ik = softmax
    over k of h_i·m_k / τ; in training c is a sample of the Gumbel-softmax distribution with these logits. For each k a
    tanh layer encodes the row weighted by c_k, scaled to length 1 and with dropout in training, as a mean of length 1
    and a variance. The score of item i is log Σ_k c_ik exp(h_i·z_k / τ), with z_k the latent variable at length 1. The
    loss is that of the row plus β times the KL divergence of the variances from that of N(0, σ₀²), summed over k, with
    β rising to `kl_weight` over the first `kl_warmup_steps` batches. Ranking uses means and probabilities.

    *Source:* Ma, Zhou, Cui, Yang, Zhu, "Learning Disentangled Representations for Recommendation", NeurIPS 2019,
    sections 2.1 to 2.4 and algorithm 1, and its authors' code, in which embeddings start by Xavier's uniform
    initialisation.

    Args:
        embedding_dim: D, length of the embeddings of items and concepts, and of the latent variables.
        hidden_dim: H, units of the encoder's hidden layer; as many as `embedding_dim` in the authors' code.
        n_concepts: K.
        concept_temperature: τ.
        latent_std: σ₀, standard deviation of the latent variables under the prior.
        sample_concepts: whether c is sampled in training.
        dropout: dropout rate of a row's items.
        kl_weight: final value of β.
        kl_warmup_steps: batches over which β rises from 0; 0 for the final value from the start.
        weight_penalty: weight of the sum of the squared weights and embeddings, biases left out.
    """

    n_steps: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 100,
        hidden_dim: PositiveInt = 100,
        n_concepts: PositiveInt = 7,
        concept_temperature: PositiveFloat = 0.1,
        latent_std: PositiveFloat = 0.075,
        sample_concepts: bool = True,
        dropout: Fraction = 0.5,
        kl_weight: NonNegativeFloat = 0.2,
        kl_warmup_steps: NonNegativeInt = 0,
        weight_penalty: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(data)
        self.temperature, self.latent_std = concept_temperature, latent_std
        self.sample_concepts, self.dropout = sample_concepts, dropout
        self.kl_weight, self.kl_warmup_steps, self.weight_penalty = kl_weight, kl_warmup_steps, weight_penalty
        self.items = nn.Parameter(torch.empty(data.n_items, embedding_dim))
        self.concepts = nn.Parameter(torch.empty(n_concepts, embedding_dim))
        self.inputs = nn.Parameter(torch.empty(data.n_items, hidden_dim))
        self.input_bias = nn.Parameter(torch.zeros(hidden_dim))
        self.latent = nn.Linear(hidden_dim, 2 * embedding_dim)
        self.initialize()
        for weights in (self.items, self.concepts, self.inputs):
            nn.init.xavier_normal_(weights)
        # The number of batches trained so far; a buffer, so that it survives a resume.
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1), the weighted KL divergence, and the L2 term."""
        users = batch[self.user_column][:, 0]
        log_shares_IK = self.log_shares()
        mean_BKD, log_ratio_BKD = self.encode(self._split(self.rows.of(users), log_shares_IK.exp()))
        latent_BKD = mean_BKD + torch.randn_like(mean_BKD) * torch.exp(log_ratio_BKD / 2) * self.latent_std
        loss = criterion.from_rows(self.decode(latent_BKD, log_shares_IK), self.rows.dense(users))
        divergence_B = (log_ratio_BKD.exp() - 1 - log_ratio_BKD).sum(dim=(1, 2)) / 2
        warmth = (self.n_steps / max(1, self.kl_warmup_steps)).clamp(max=1) if self.kl_warmup_steps else 1.0
        self.n_steps += 1
        loss = loss + self.kl_weight * warmth * divergence_B.mean()
        if self.weight_penalty:
            squares = [weights.square().sum() for weights in self.parameters() if weights.dim() == 2]
            loss = loss + self.weight_penalty * torch.stack(squares).sum()
        return loss

    def log_shares(self) -> Tensor:
        """Return the logarithms (I, K) of the probabilities that items belong to concepts, or of a sample of them."""
        logits_IK = F.normalize(self.items) @ F.normalize(self.concepts).T / self.temperature
        if self.training and self.sample_concepts:
            logits_IK = logits_IK - torch.empty_like(logits_IK).exponential_().log()  # noise of Gumbel's distribution
        return F.log_softmax(logits_IK, dim=1)

    def _split(self, rows: CSR, shares_IK: Tensor) -> Tensor:
        """Return the products (B, K, H) of rows, split by concept and scaled to length 1, with the first layer."""
        items_N, starts_B = bags_of(rows, self.inputs.device)
        values_NK = shares_IK[items_N]
        ends_B = torch.cat([starts_B[1:], starts_B.new_tensor([len(items_N)])])
        rows_N = torch.repeat_interleave(torch.arange(len(starts_B), device=items_N.device), ends_B - starts_B)
        squares_BK = values_NK.new_zeros(len(starts_B), values_NK.size(1)).index_add(0, rows_N, values_NK.square())
        values_NK = values_NK * squares_BK.clamp(min=1e-24).rsqrt()[rows_N]
        values_NK = F.dropout(values_NK, self.dropout, self.training)
        parts = [
            F.embedding_bag(items_N, self.inputs, starts_B, mode="sum", per_sample_weights=values_N.contiguous())
            for values_N in values_NK.unbind(dim=1)
        ]
        return torch.stack(parts, dim=1)

    def encode(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return means (B, K, D) at length 1, and the log ratios of variances to the prior's, of products (B, K, H)."""
        mean_BKD, log_ratio_BKD = self.latent(torch.tanh(sums + self.input_bias)).chunk(2, dim=-1)
        return F.normalize(mean_BKD, dim=-1), -log_ratio_BKD

    def decode(self, latent: Tensor, log_shares: Tensor) -> Tensor:
        """Return the scores (B, I) of latent variables (B, K, D), with items' concepts (I, K)."""
        logits_BKI = F.normalize(latent, dim=-1) @ F.normalize(self.items).T / self.temperature
        return (logits_BKI + log_shares.T).logsumexp(dim=1)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        log_shares_IK = self.log_shares()
        sums_BKH = self._split(histories.distinct(), log_shares_IK.exp())
        return self.decode(self.encode(sums_BKH)[0], log_shares_IK)

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""
        log_shares_IK = self.log_shares()
        split_BKI = F.normalize(rows[:, None] * log_shares_IK.exp().T, dim=-1)
        return self.decode(self.encode(split_BKI @ self.inputs)[0], log_shares_IK)
