"""NGCF: graph convolution with learned layers on the graph of users and items.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.graph import GraphArch
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_SLOPE: Final = 0.2
"""Slope of the leaky ReLU below 0."""


@MODELS.register("ngcf", loss="bpr", gradients="dense")
class NGCF(GraphArch):
    """Score items by the product of user and item embeddings concatenated over the layers of a graph network.

    With A the normalized adjacency matrix of the graph, a layer maps E to
    LeakyReLU((A E + E) W1 + (A E * E) W2), with * the elementwise product, followed by dropout. A layer's output is
    scaled to unit length for the score, as in the authors' code, but not for the next layer.

    *Source:* Wang, He, Wang, Feng, Chua, "Neural Graph Collaborative Filtering", SIGIR 2019, equations 7 to 10; the L2
    term on the rows of a batch, as in its authors' code.

    Args:
        embedding_dim: length of the embeddings and of each layer's output.
        n_layers: L, how often embeddings are propagated.
        message_dropout: dropout rate of each layer's output.
        init_std: standard deviation of the initial embeddings.
        embedding_decay: weight of the L2 term on the embeddings of a batch before the first layer, half their squared
            norms over B.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        message_dropout: Fraction = 0.1,
        init_std: PositiveFloat = 0.1,
        embedding_decay: NonNegativeFloat = 1e-5,
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay)
        self.sums = nn.ModuleList(nn.Linear(embedding_dim, embedding_dim, bias=False) for _ in range(n_layers))
        self.products = nn.ModuleList(nn.Linear(embedding_dim, embedding_dim, bias=False) for _ in range(n_layers))
        self.message_dropout = message_dropout
        self.initialize(init_std)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the concatenated embeddings of all layers, of users (U, (1 + L) D) and items (I, (1 + L) D)."""
        layer_ND = self.nodes()
        layers = [layer_ND]
        for of_sums, of_products in zip(self.sums, self.products, strict=True):
            neighbors_ND = self.graph(layer_ND)
            layer_ND = F.leaky_relu(of_sums(neighbors_ND + layer_ND) + of_products(neighbors_ND * layer_ND), _SLOPE)
            layer_ND = F.dropout(layer_ND, self.message_dropout, self.training)
            layers.append(F.normalize(layer_ND, dim=1))
        return self.graph.split(torch.cat(layers, dim=1))
