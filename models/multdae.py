"""Mult-DAE: a denoising autoencoder of users' interactions.

Shapes: B users in a batch, I items, H hidden units, Z dimensions of the code.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recrun.architectures.prediction import Batch
from recrun.architectures.whole_rows import AutoencoderArch, encode_rows, unit_rows
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("multdae", loss="multinomial", vectors=False, new_users=True, gradients="mixed")
class MultDAE(AutoencoderArch):
    """Reconstruct each user's interactions from a part of them by an autoencoder with a multinomial likelihood.

    A row, scaled to length 1 and with dropout in training, is encoded by tanh layers and decoded into scores: f(x) =
    V tanh(W x + b) + c without hidden layers. With `hidden_layer`, a tanh layer comes before the code, and one after
    it. The loss is that of the whole row, plus `weight_penalty` times the squared norms of all weight matrices.

    *Source:* Liang, Krishnan, Hoffman, Jebara, "Variational Autoencoders for Collaborative Filtering", WWW 2018,
    sections 2.1 and 2.2.3 (eq. 9), and 4.4 for the layers. The L2 term is that of its authors' notebook, where biases
    start as small normal numbers instead of 0, and weights by Xavier's uniform initialisation.

    Args:
        latent_dim: Z, dimensions of the code.
        hidden_layer: whether there is a layer on either side of the code.
        hidden_dim: H, units of these layers.
        dropout: dropout rate of a row's items.
        weight_penalty: weight of the sum of the squared weights, those of biases left out.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        latent_dim: PositiveInt = 200,
        hidden_layer: bool = False,
        hidden_dim: Annotated[PositiveInt, AppliesIf("hidden_layer", "hidden_layer is false")] = 600,
        dropout: Fraction = 0.5,
        weight_penalty: NonNegativeFloat = 2e-5,
    ) -> None:
        super().__init__(data)
        self.dropout, self.weight_penalty = dropout, weight_penalty
        sizes = [hidden_dim, latent_dim, hidden_dim] if hidden_layer else [latent_dim]
        self.inputs = nn.EmbeddingBag(data.n_items, sizes[0], mode="sum")
        self.input_bias = nn.Parameter(torch.zeros(sizes[0]))
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.outputs = nn.Linear(sizes[-1], data.n_items)
        self.initialize()
        nn.init.xavier_normal_(self.inputs.weight)

    def forward(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,); in training, for a part of their items."""
        return self.score_histories(self.rows.of(users))

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1), plus the L2 term on the weight matrices."""
        loss = super().training_loss(batch, criterion)
        if self.weight_penalty == 0:
            return loss
        matrices = [weights for weights in self.parameters() if weights.dim() == 2]
        return loss + self.weight_penalty * torch.stack([weights.square().sum() for weights in matrices]).sum()

    def decode(self, sums: Tensor) -> Tensor:
        """Return the scores (B, I) for the products of rows with the first layer's weights, without its bias."""
        layer = torch.tanh(sums + self.input_bias)
        for hidden in self.hidden:
            layer = torch.tanh(hidden(layer))
        scores: Tensor = self.outputs(layer)
        return scores

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        rows = histories.distinct()
        return self.decode(encode_rows(rows, self.inputs.weight, self.dropout, training=self.training))

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""
        return self.decode(unit_rows(rows) @ self.inputs.weight)
