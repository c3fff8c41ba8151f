"""SGL: LightGCN with a contrastive loss between two views of the graph from which interactions are left out.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import EdgeWeights, GraphArch, InitialEmbeddings
from recrun.architectures.item_products import log_sums
from recrun.models.simgcl import contrast
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


def identify(nodes_B: Tensor, queries_ND: Tensor, keys_ND: Tensor, temperature: float) -> Tensor:
    """Return the mean cross entropy of finding each node of a batch among all nodes.

    The logits are the cosines of the node's query with all keys, divided by the temperature; its own key is the one to
    be found. A node that the batch repeats is scored once and counted as often as it occurs.

    Args:
        nodes_B: the nodes, rows of the others.
        queries_ND: a vector of each node.
        keys_ND: another one of each node.
        temperature: > 0.
    """
    distinct_R, counts_R = nodes_B.unique(return_counts=True)
    weights_R = counts_R.to(queries_ND.dtype) / len(nodes_B)
    queries_RD = F.normalize(F.embedding(distinct_R, queries_ND), dim=1) / temperature
    keys_ND = F.normalize(keys_ND, dim=1)
    return log_sums(queries_RD, keys_ND, distinct_R, weights_R)


@MODELS.register("sgl", loss="bpr", new_users=True, gradients="dense")
class SGL(GraphArch):
    """Train LightGCN with a contrastive loss between two views of it on parts of the graph.

    With A the normalized adjacency matrix of the graph and E the embeddings of its nodes, a score is the product of two
    rows of (E + A E + ... + A^L E) / (L + 1). In training this mean is computed twice more, each time on a graph from
    which a share of the interactions is left out, normalized by its own degrees. For each user and each positive item
    of a batch the loss has the cross entropy of finding its own vector of the second view by that of the first, with
    cosines over a temperature as logits, among all users and all items ("all", as in the paper and in its authors'
    code), or among the distinct ones of the batch ("batch", as in SELFRec). Both are means over what is summed.

    Of the paper's three ways to change the graph this is edge dropout (SGL-ED). The parts of the graph are drawn for
    each batch; in the authors' code they are drawn for each epoch.

    *Source:* Wu, Wang, Feng, He, Chen, Lian, Xie, "Self-supervised Graph Learning for Recommendation", SIGIR 2021,
    equations 8 to 12; the L2 term on the rows of a batch, as in its authors' code (wujcan/SGL-Torch).

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        edge_dropout: share of the interactions that a view leaves out.
        contrast_weight: weight of the contrastive loss.
        contrast_temperature: temperature of the contrastive loss.
        contrast_with: among which users and items a user or an item is to be found.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
        **initial: how embeddings start.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 3,
        edge_dropout: Fraction = 0.1,
        contrast_weight: NonNegativeFloat = 0.1,
        contrast_temperature: PositiveFloat = 0.2,
        contrast_with: Annotated[
            Literal["all", "batch"], AppliesIf("contrast_weight > 0", "the contrastive loss has no weight")
        ] = "all",
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.edge_dropout = n_layers, edge_dropout
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        self.contrast_with = contrast_with
        self.initialize_as(**initial)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the averaged embeddings of all users and items on the whole graph, at unit length for the cosine."""
        return self.scale(self._propagate(None))

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the contrastive loss of two views, and the L2 term."""
        return super().penalty(users, items) + self._contrast(users[:, 0], items[:, 0])

    def _propagate(self, edges: EdgeWeights | None) -> tuple[Tensor, Tensor]:
        weights = [1 / (self.n_layers + 1)] * (self.n_layers + 1)
        return self.graph.split(self.graph.average(self.nodes(), weights, edges))

    def _contrast(self, users_B: Tensor, items_B: Tensor) -> Tensor | float:
        if self.contrast_weight == 0:
            return 0.0
        first, second = (self._propagate(self.graph.subgraph(self.edge_dropout)) for _ in range(2))
        terms = []
        for some_B, one, other in zip((users_B, items_B), first, second, strict=True):
            if self.contrast_with == "all":
                terms.append(identify(some_B, one, other, self.contrast_temperature))
            else:
                distinct_R = some_B.unique()
                rows = F.embedding(distinct_R, one), F.embedding(distinct_R, other)
                terms.append(contrast(*rows, self.contrast_temperature))
        return self.contrast_weight * (terms[0] + terms[1])
