"""LightGCN: linear graph convolution on the graph of users and items.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch
from recrun.errors import ConfigError, Fault
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("lightgcn", loss="bpr", new_users=True, gradients="dense")
class LightGCN(GraphArch):
    """Score items by the product of user and item embeddings averaged over the layers of a linear graph convolution.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of a_0 E + a_1 A E + ... + a_L A^L E, where each a_l is 1 / (L + 1).

    The defaults are the paper's. Dropout of edges is an option of the authors' code (`--dropout 1 --keepprob 0.6` is
    an `edge_dropout` of 0.4), drawn anew for each batch and shared by the layers; so are other weights of the edges, of
    which the paper's table 5 compares some. Dropout of users' vectors is that of `bprmf`.

    *Source:* He, Deng, Wang, Li, Zhang, Wang, "LightGCN: Simplifying and Powering Graph Convolution Network for
    Recommendation", SIGIR 2020, equations 3 to 8; the L2 term of equation 15 on the rows of a batch, as in its
    authors' code.

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        layer_weights: the L + 1 weights a_0 ... a_L of the layers, such as [0, 0, 0, 1] for the last one alone; null
            for equal weights that sum to 1.
        normalization: the weight of a message from node m to node n, with degrees d: "symmetric" for
            1 / sqrt(d_n d_m), "left" for 1 / d_n, "right" for 1 / d_m, "none" for 1.
        edge_dropout: dropout rate of the messages, each direction of an edge on its own, in training.
        embedding_dropout: dropout rate of the users' vectors in training, before they are scaled for the cosine.
        initialization: the initial embeddings: "normal" ones, or uniform ones by the size of each table, "xavier".
        init_std: standard deviation of normal ones.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.

    Raises:
        ConfigError: `layer_weights` are not L + 1, or all 0.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        layer_weights: Annotated[
            list[NonNegativeFloat] | None,
            Where(
                "layer_weights is None or len(layer_weights) == n_layers + 1",
                "expected a weight for layer 0 and each of the {n_layers} layers, {n_layers + 1} in all, found "
                "{layer_weights}",
            ),
            Where("layer_weights is None or len(layer_weights) == 0 or max(layer_weights) > 0", "all are 0"),
        ] = None,
        normalization: Literal["symmetric", "left", "right", "none"] = "symmetric",
        edge_dropout: Fraction = 0.0,
        embedding_dropout: Fraction = 0.0,
        initialization: Literal["xavier", "normal"] = "normal",
        init_std: Annotated[
            PositiveFloat,
            AppliesIf("initialization == 'normal'", "it is for initialization=normal, found {initialization}"),
        ] = 0.1,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        if layer_weights is not None and (len(layer_weights) != n_layers + 1 or not any(layer_weights)):
            message = f"expected {n_layers + 1} weights that are not all 0, found {layer_weights}"
            raise ConfigError(Fault(message, key="layer_weights"))
        super().__init__(data, embedding_dim, embedding_decay, similarity, normalization)
        self.n_layers, self.layer_weights = n_layers, layer_weights
        self.edge_dropout, self.embedding_dropout = edge_dropout, embedding_dropout
        self.initialize_as(initialization, init_std)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the averaged embeddings of all users and all items, at unit length for the cosine.

        In training, edges and users' embeddings are dropped.
        """
        users_UD, items_ID = self.graph.split(self._average())
        if self.embedding_dropout:
            users_UD = F.dropout(users_UD, self.embedding_dropout, self.training)
        return self.scale((users_UD, items_ID))

    def _average(self) -> Tensor:
        edges = self.graph.drop(self.edge_dropout) if self.edge_dropout and self.training else None
        weights = self.layer_weights or [1 / (self.n_layers + 1)] * (self.n_layers + 1)
        return self.graph.average(self.nodes(), weights, edges)
