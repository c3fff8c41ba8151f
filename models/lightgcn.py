"""LightGCN: linear graph convolution on the graph of users and items.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor

from recrun.architectures.graph import GraphArch
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("lightgcn", loss="bpr", new_users=True, gradients="dense")
class LightGCN(GraphArch):
    """Score items by the product of user and item embeddings averaged over the layers of a linear graph convolution.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of (E + A E + ... + A^L E) / (L + 1).

    *Source:* He, Deng, Wang, Li, Zhang, Wang, "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020, equations 3 to 8; the L2 term of equation 15 on the rows of a batch, as in its
    authors' code.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        init_std: standard deviation of the initial embeddings.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        init_std: PositiveFloat = 0.1,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers = n_layers
        self.initialize(init_std)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items, averaged over the layers; at unit length for the cosine."""
        layer_ND = total_ND = self.nodes()
        for _ in range(self.n_layers):
            layer_ND = self.graph(layer_ND)
            total_ND = total_ND + layer_ND
        return self.scale(self.graph.split(total_ND / (self.n_layers + 1)))
