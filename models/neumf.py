"""NeuMF: matrix factorisation and a multilayer perceptron with separate embeddings, combined.

Shapes: B users in a batch, K negatives, U users, I items, D embedding, H units of a hidden layer.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.networks import PairNetwork
from recrun.errors import ConfigError, Fault
from recrun.registry import MODELS
from recrun.types import Annotated, Fraction, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_CELLS: Final = 1 << 19
"""Most values of the first hidden layer that are computed at once when all items are scored."""


@MODELS.register("neumf", loss="bce", vectors=False, gradients="mixed")
class NeuMF(RecSysArch):
    """Score items by matrix factorisation and a multilayer perceptron, combined in a linear output layer.

    The two parts have separate embeddings. Each layer of the perceptron has half the units of the one below, with
    ReLU. Training starts from random weights, without the paper's pre-training of the two parts.

    *Source:* He, Liao, Zhang, Nie, Hu, Chua, "Neural Collaborative Filtering", WWW 2017, equation 12.

    Args:
        embedding_dim: length of the embeddings that are multiplied.
        mlp_dim: length of the embeddings that the perceptron takes, concatenated.
        n_layers: number of hidden layers of the perceptron; the last has 2 * mlp_dim / 2^n_layers units.
        dropout: dropout rate of each hidden layer.
        init_std: standard deviation of the initial embeddings.

    Raises:
        ConfigError: `n_layers` is more than the times that 2 * mlp_dim can be halved.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 32,
        mlp_dim: PositiveInt = 32,
        n_layers: Annotated[
            PositiveInt,
            Where("2 * mlp_dim >> n_layers > 0", "expected fewer layers for mlp_dim {mlp_dim}, found {n_layers}"),
        ] = 3,
        dropout: Fraction = 0.0,
        init_std: PositiveFloat = 0.01,
    ) -> None:
        super().__init__()
        widths = [2 * mlp_dim >> layer for layer in range(n_layers + 1)]
        if not widths[-1]:
            message = f"expected at most {widths.index(0) - 1} layers for mlp_dim {mlp_dim}, found {n_layers}"
            raise ConfigError(Fault(message, key="n_layers"))
        self.users, self.items = nn.Embedding(data.n_users, embedding_dim), nn.Embedding(data.n_items, embedding_dim)
        self.mlp_users, self.mlp_items = nn.Embedding(data.n_users, mlp_dim), nn.Embedding(data.n_items, mlp_dim)
        # The first layer over two concatenated embeddings is the sum of one layer over each.
        self.from_user = nn.Linear(mlp_dim, widths[1], bias=False)
        self.from_item = nn.Linear(mlp_dim, widths[1])
        above = [nn.Linear(below, width) for below, width in pairwise(widths[1:])]
        self.layers = nn.ModuleList(above)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(embedding_dim + widths[-1], 1)
        self.initialize(init_std)
        # Xavier initialisation of the whole first layer, whose inputs are both embeddings.
        whole = math.sqrt((mlp_dim + widths[1]) / (2 * mlp_dim + widths[1]))
        with torch.no_grad():
            for part in (self.from_user, self.from_item):
                part.weight.mul_(whole)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        product = self.users(users) * self.items(items)
        hidden = self._deepen(self.from_user(self.mlp_users(users)) + self.from_item(self.mlp_items(items)))
        scores: Tensor = self.output(torch.cat([product, hidden], dim=-1))[..., 0]
        return scores

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,), in blocks of items."""
        return self._rank(users, max(1, _CELLS // (len(users) * self.from_user.out_features)))

    def score_all(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,), in one block."""
        return self._rank(users, len(self.items.weight))

    def network(self) -> PairNetwork:
        """Return the model as a network that scores items for users."""
        return PairNetwork(self)

    def _rank(self, users: Tensor, size: int) -> Tensor:
        """Return the scores (B, I) of all items for users (B,), `size` items at a time.

        The part of the products is one matrix product, and the first layer is computed once for each user and item.
        """
        dim, weights = self.items.embedding_dim, self.output.weight[0]
        products_BI = (self.users(users) * weights[:dim]) @ self.items.weight.T
        from_users_BH, from_items_IH = self.from_user(self.mlp_users(users)), self.from_item(self.mlp_items.weight)
        parts = [self._deepen(from_users_BH[:, None] + block) @ weights[dim:] for block in from_items_IH.split(size)]
        return products_BI + torch.cat(parts, dim=1) + self.output.bias

    def _deepen(self, hidden: Tensor) -> Tensor:
        """Return the last layer's outputs of those of the first before ReLU (B, n, H)."""
        hidden = self.dropout(torch.relu_(hidden))
        for layer in self.layers:
            hidden = self.dropout(torch.relu_(layer(hidden)))
        return hidden
