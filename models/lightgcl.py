"""LightGCL: LightGCN with a contrastive loss with a view on the graph that a singular value decomposition rebuilds.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding, Q rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch, InitialEmbeddings
from recrun.architectures.item_products import log_sums
from recrun.architectures.prediction import Batch
from recrun.architectures.sparse import scale_rows, truncated_svd
from recrun.errors import ConfigError, Fault
from recrun.models.sgl import identify
from recrun.registry import MODELS
from recrun.types import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


_LARGEST: Final = 5.0
"""Beyond this, the logit of a node's own vector has no gradient, as in the authors' code."""


@MODELS.register("lightgcl", loss="bpr", new_users=True, gradients="dense")
class LightGCL(GraphArch):
    """Train LightGCN with a contrastive loss with a view of it on a graph of low rank.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of E + A E + ... + A^L E. The view is G = E + S E + S A E + ... + S A^(L-1) E, where S has the Q largest
    singular values of A's block of users and items. Each user and each item of a batch, negatives included, has the
    contrastive loss log sum_m exp(g_n · e_m / t) - clip(g_n · e_n / t, -5, 5), with m all users or all items; the mean
    over the users and that over the items are added. Products are as they are ("dot", as in the authors' code), or
    cosines without the clip ("cosine", as in the paper).

    *Source:* Cai, Huang, Xia, Ren, "LightGCL: Simple Yet Effective Graph Contrastive Learning for Recommendation", ICLR
    2023, equations 2 to 8, with A linear, without the activation of equation 1, as in the authors' code
    (HKUDS/LightGCL) after the paper, where singular values are those of torch's randomized decomposition and the L2
    term is on all parameters (`weight_decay`, twice its lambda2).

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        svd_rank: Q, how many singular values are kept, at most min(U, I).
        contrast_weight: weight of the contrastive loss.
        contrast_temperature: t, the temperature of the contrastive loss.
        contrast_similarity: whether the contrastive loss is on products or on cosines.
        edge_dropout: dropout rate of the messages in each layer, in training.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        similarity: "dot" for the product of the embeddings, "cosine" for their cosine.
        **initial: how embeddings start.

    Raises:
        ConfigError: `svd_rank` is larger than the number of users or of items.
    """

    user_factors: Tensor
    item_factors: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 2,
        svd_rank: PositiveInt = 5,
        contrast_weight: NonNegativeFloat = 0.2,
        contrast_temperature: PositiveFloat = 0.2,
        contrast_similarity: Literal["dot", "cosine"] = "dot",
        edge_dropout: Fraction = 0.0,
        embedding_decay: NonNegativeFloat = 0.0,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.edge_dropout = n_layers, edge_dropout
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        self.contrast_similarity = contrast_similarity
        smaller = min(data.n_users, data.n_items)
        if svd_rank > smaller:
            message = f"expected at most the smaller number of users and items, {smaller}, found {svd_rank}"
            raise ConfigError(Fault(message, key="svd_rank"))
        # The factors follow from the train part, so they are no part of the state.
        roots = [np.clip(degrees, 1, None) ** -0.5 for degrees in (data.csr().lengths, data.item_counts())]
        rows = scale_rows(data.matrix(), roots[0])
        rows.data *= roots[1].astype(np.float32)[rows.indices]
        left_UQ, values_Q, right_IQ = truncated_svd(rows, svd_rank)
        for name, vectors in (("user_factors", left_UQ), ("item_factors", right_IQ)):
            factors = np.ascontiguousarray(vectors * np.sqrt(values_Q), dtype=np.float32)
            self.register_buffer(name, torch.from_numpy(factors), persistent=False)
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores, the contrastive loss, and the L2 term."""
        layers = self._propagate()
        vectors = self._sum(layers)
        with self.hold(vectors):
            loss = super().training_loss(batch, criterion)
        if self.contrast_weight == 0:
            return loss
        users, items = self.pairs(batch)
        views = self._view(layers)
        terms = [
            self._contrast(nodes.flatten(), view, vector)
            for nodes, view, vector in zip((users, items), views, vectors, strict=True)
        ]
        return loss + self.contrast_weight * (terms[0] + terms[1])

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the summed embeddings of all users and all items, at unit length for the cosine."""
        return self.scale(self.held or self._sum(self._propagate()))

    def _propagate(self) -> list[Tensor]:
        """Return the layers from 0 to L (N, D); in training, messages are dropped in each."""
        layers = [self.nodes()]
        for _ in range(self.n_layers):
            edges = self.graph.drop(self.edge_dropout) if self.edge_dropout and self.training else None
            layers.append(self.graph(layers[-1], edges))
        return layers

    def _sum(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self.graph.split(torch.stack(layers).sum(0))

    def _view(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the embeddings on the graph of low rank, of users (U, D) and items (I, D)."""
        users_UD, items_ID = self.graph.split(layers[0])
        # S is linear, so it is applied once to the sum of the layers below.
        below_UD, below_ID = self._sum(layers[:-1])
        of_users_UD = self.user_factors @ (self.item_factors.T @ below_ID)
        of_items_ID = self.item_factors @ (self.user_factors.T @ below_UD)
        return users_UD + of_users_UD, items_ID + of_items_ID

    def _contrast(self, nodes_B: Tensor, view_ND: Tensor, vectors_ND: Tensor) -> Tensor:
        if self.contrast_similarity == "cosine":
            return identify(nodes_B, view_ND, vectors_ND, self.contrast_temperature)
        distinct_R, counts_R = nodes_B.unique(return_counts=True)
        weights_R = counts_R.to(view_ND.dtype) / len(nodes_B)
        queries_RD = F.embedding(distinct_R, view_ND) / self.contrast_temperature
        own_R = (queries_RD * F.embedding(distinct_R, vectors_ND)).sum(dim=1).clamp(-_LARGEST, _LARGEST)
        return log_sums(queries_RD, vectors_ND, weights=weights_R) - (weights_R * own_R).sum()
