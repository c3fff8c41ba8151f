"""SGL: LightGCN with a contrastive loss between two views of the graph from which interactions are left out.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import EdgeWeights, GraphArch
from recrun.models.simgcl import contrast
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


_CELLS: Final = 1 << 20
"""Most logits that are held at once on a CPU, whose cache they should fit."""


class _LogSums(torch.autograd.Function):
    """Σ_r w_r log Σ_m exp(q_r · k_m), whose gradients are computed block by block along with the sum.

    Autograd would write and read all (R, M) logits several times; as blocks they stay in the cache.
    """

    @staticmethod
    def forward(context: Any, queries_RD: Tensor, keys_MD: Tensor, weights_R: Tensor) -> Tensor:
        n_rows = max(1, _CELLS // len(keys_MD)) if queries_RD.device.type == "cpu" else max(1, len(queries_RD))
        of_queries_RD, of_keys_MD = torch.empty_like(queries_RD), torch.zeros_like(keys_MD)
        total = queries_RD.new_zeros(())
        for start in range(0, len(queries_RD), n_rows):
            block = slice(start, start + n_rows)
            logits_BM = queries_RD[block] @ keys_MD.T
            largest_B1 = logits_BM.amax(dim=1, keepdim=True)
            powers_BM = logits_BM.sub_(largest_B1).exp_()
            sums_B1 = powers_BM.sum(dim=1, keepdim=True)
            weights_B1 = weights_R[block, None]
            total += (weights_B1 * (sums_B1.log() + largest_B1)).sum()
            shares_BM = powers_BM.mul_(weights_B1 / sums_B1)
            torch.mm(shares_BM, keys_MD, out=of_queries_RD[block])
            of_keys_MD.addmm_(shares_BM.T, queries_RD[block])
        context.save_for_backward(of_queries_RD, of_keys_MD)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        of_queries_RD, of_keys_MD = context.saved_tensors
        return gradient * of_queries_RD, gradient * of_keys_MD, None


def log_sums(queries_RD: Tensor, keys_MD: Tensor, weights_R: Tensor) -> Tensor:
    """Return Σ_r w_r log Σ_m exp(q_r · k_m); nothing of size R x M is kept. The weights are not trained."""
    total: Tensor = _LogSums.apply(queries_RD, keys_MD, weights_R)  # type: ignore[no-untyped-call]
    return total


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
    return (
        log_sums(queries_RD, keys_ND, weights_R)
        - (weights_R * (queries_RD * F.embedding(distinct_R, keys_ND)).sum(dim=1)).sum()
    )


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
    each batch; in the authors' code they are drawn for each epoch. There embeddings start by Xavier's uniform
    initialisation.

    *Source:* Wu, Wang, Feng, He, Chen, Lian, Xie, "Self-supervised Graph Learning for Recommendation", SIGIR 2021,
    equations 8 to 12; the L2 term on the rows of a batch, as in its authors' code (wujcan/SGL-Torch).

    Args:
        embedding_dim: length of the embeddings.
        n_layers: L, how often embeddings are propagated.
        edge_dropout: share of the interactions that a view leaves out.
        contrast_weight: weight of the contrastive loss.
        contrast_temperature: temperature of the contrastive loss.
        contrast_with: among which users and items a user or an item is to be found.
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
        edge_dropout: Fraction = 0.1,
        contrast_weight: NonNegativeFloat = 0.1,
        contrast_temperature: PositiveFloat = 0.2,
        contrast_with: Annotated[
            Literal["all", "batch"], AppliesIf("contrast_weight > 0", "the contrastive loss has no weight")
        ] = "all",
        init_std: PositiveFloat = 0.1,
        embedding_decay: NonNegativeFloat = 1e-4,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.edge_dropout = n_layers, edge_dropout
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        self.contrast_with = contrast_with
        self.initialize(init_std)

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
