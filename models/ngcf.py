"""NGCF: graph convolution with learned layers on the graph of users and items.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding, L layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.graph import EdgeWeights, GraphArch, InitialEmbeddings, UserItemGraph
from recrun.architectures.prediction import Batch
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData

_SLOPE: Final = 0.2
"""Slope of the leaky ReLU below 0."""
_FEW: Final = 4
"""Rows of a batch are few if there are this many times as many nodes."""


class _Kept(NamedTuple):
    """What node dropout leaves of a batch's graph; None for all of it."""

    scale_N1: Tensor | None
    """0 for what a node sends to all others (paper) or to itself (code), else 1 / (1 - rate)."""
    edges: EdgeWeights | None


_ALL: Final = _Kept(None, None)


class _Step:
    """The nodes of a training step, whose scores and L2 term are of the same embeddings, with the same dropout.

    Rows are put together for the nodes of the batch alone, once for both, unless these are many. What is put together
    where no gradients are kept, to choose negatives, may be scored later, where they are.

    Args:
        layers: the embeddings (N, D) of each layer.
        graph: the graph, which has the users before the items.
    """

    def __init__(self, layers: Sequence[Tensor], graph: UserItemGraph) -> None:
        self._layers, self._graph = layers, graph
        self._of: tuple[Tensor, Tensor] | None = None
        self._rows: tuple[Tensor, Tensor] | None = None
        self._vectors: tuple[Tensor, Tensor] | None = None

    @torch.enable_grad()
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the concatenated embeddings of all users (U, V) and items (I, V)."""
        self._vectors = self._vectors or self._graph.split(_concatenated(self._layers))
        return self._vectors

    @torch.enable_grad()
    def rows(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return those of users (B, 1) and items (B, 1 + K), as (B, V) and (B, 1 + K, V); None if they are many."""
        n_nodes = len(self._layers[0])
        if (users.numel() + items.numel()) * _FEW > n_nodes:
            return None
        if self._of is None or self._of[0] is not users or self._of[1] is not items:
            nodes = torch.cat([users.flatten(), self._graph.n_users + items.flatten()])
            rows_MV = _concatenated([F.embedding(nodes, layer_ND) for layer_ND in self._layers])
            of_users, of_items = rows_MV.split([users.numel(), items.numel()])
            self._of, self._rows = (users, items), (of_users, of_items.view(*items.shape, -1))
        return self._rows


def _concatenated(layers: Sequence[Tensor]) -> Tensor:
    """Return the embeddings of the first layer with those of the others at unit length."""
    return torch.cat([layers[0], *(F.normalize(layer_ND, dim=1) for layer_ND in layers[1:])], dim=1)


@MODELS.register("ngcf", loss="bpr", new_users=True, gradients="dense")
class NGCF(GraphArch):
    """Score items by the product of user and item embeddings concatenated over the layers of a graph network.

    With A the normalized adjacency matrix of the graph, a layer of the paper maps E to
    LeakyReLU((A E + E) W1 + (A E * E) W2), with * the elementwise product. A layer of the authors' code, with its
    defaults, maps E to LeakyReLU(B E W1 + b1) + LeakyReLU((B E * E) W2 + b2), with B the mean over a node and its
    neighbours. Dropout follows; a layer's output is scaled to unit length for the score, as in the authors' code, but
    not for the next layer.

    Both have the L2 term of the authors' code, on the concatenated embeddings of the batch; in the paper it is on all
    parameters. Node dropout is drawn for each batch and shared by the layers: the paper drops whole nodes, that is all
    messages that they send; the code drops single entries of its matrix, self-connections included. Layers of other
    widths are missing.

    *Source:* Wang, He, Wang, Feng, Chua, "Neural Graph Collaborative Filtering", SIGIR 2019, equations 7 to 10.

    Args:
        embedding_dim: length of the embeddings and of each layer's output.
        n_layers: L, how often embeddings are propagated.
        layer: "paper" for the layers of the paper, "code" for those of its authors' code.
        message_dropout: dropout rate of each layer's output.
        node_dropout: dropout rate of nodes' messages, in training: of all messages of a node in the layer of the paper,
            of single messages in that of the code.
        embedding_decay: weight of the L2 term, half the squared norms of the batch's concatenated embeddings over B.
        similarity: "dot" for the product of the concatenated embeddings, "cosine" for their cosine.
        **initial: how embeddings start.
    """

    degrees: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        layer: Literal["paper", "code"] = "paper",
        message_dropout: Fraction = 0.1,
        node_dropout: Fraction = 0.0,
        embedding_decay: NonNegativeFloat = 1e-5,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.layer, biased = layer, layer == "code"
        self.sums = nn.ModuleList(nn.Linear(embedding_dim, embedding_dim, bias=biased) for _ in range(n_layers))
        self.products = nn.ModuleList(nn.Linear(embedding_dim, embedding_dim, bias=biased) for _ in range(n_layers))
        degrees_N = np.concatenate([data.csr().lengths, data.item_counts()]).astype(np.float32)
        self.register_buffer("degrees", torch.from_numpy(degrees_N)[:, None], persistent=False)
        self.message_dropout, self.node_dropout = message_dropout, node_dropout
        self.step: _Step | None = None
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch; its scores and its L2 term are of the same embeddings, with the same dropout."""
        self.step = _Step(self._propagate(), self.graph)
        try:
            return super().training_loss(batch, criterion)
        finally:
            self.step = None

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        rows = None if self.step is None else self.step.rows(users, items)
        if rows is None:
            return super().forward(users, items)
        users_BV, items_BKV = self.scale(rows)
        return (items_BKV @ users_BV[:, :, None])[..., 0]

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's concatenated embeddings."""
        if self.embedding_decay == 0:
            return 0.0
        step = self.step or _Step(self._propagate(), self.graph)
        rows = step.rows(users, items)
        if rows is None:
            rows = F.embedding(users, step.vectors()[0]), F.embedding(items, step.vectors()[1])
        return self.embedding_decay * 0.5 * (rows[0].square().sum() + rows[1].square().sum()) / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the concatenated embeddings of all layers, of users (U, (1 + L) D) and items (I, (1 + L) D).

        For the cosine they are scaled to unit length.
        """
        return self.scale((self.step or _Step(self._propagate(), self.graph)).vectors())

    def _propagate(self) -> list[Tensor]:
        """Return the embeddings (N, D) of each layer."""
        layers = [self.nodes()]
        kept = self._drop_nodes() if self.node_dropout and self.training else _ALL
        for of_sums, of_products in zip(self.sums, self.products, strict=True):
            layer_ND = self._transform(layers[-1], of_sums, of_products, kept)
            layers.append(F.dropout(layer_ND, self.message_dropout, self.training))
        return layers

    def _drop_nodes(self) -> _Kept:
        scale_N1 = F.dropout(torch.ones_like(self.degrees), self.node_dropout)
        return _Kept(scale_N1, self.graph.drop(self.node_dropout) if self.layer == "code" else None)

    def _transform(self, layer_ND: Tensor, of_sums: nn.Module, of_products: nn.Module, kept: _Kept) -> Tensor:
        """Return the embeddings (N, D) of the next layer."""
        if self.layer == "paper":
            sent_ND = layer_ND if kept.scale_N1 is None else kept.scale_N1 * layer_ND
            neighbors_ND = self.graph(sent_ND)
            return F.leaky_relu(of_sums(neighbors_ND + layer_ND) + of_products(neighbors_ND * layer_ND), _SLOPE)
        # The graph divides an edge by the roots of both its nodes' degrees; multiplied by these it sums neighbours.
        roots_N1 = self.degrees.sqrt()
        own_ND = layer_ND if kept.scale_N1 is None else kept.scale_N1 * layer_ND
        means_ND = (roots_N1 * self.graph(roots_N1 * layer_ND, kept.edges) + own_ND) / (self.degrees + 1)
        return F.leaky_relu(of_sums(means_ND), _SLOPE) + F.leaky_relu(of_products(means_ND * layer_ND), _SLOPE)
