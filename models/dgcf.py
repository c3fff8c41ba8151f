"""DGCF: graph convolution on one graph per intent, whose edges are weighted by routing.

Shapes: B users in a batch, K negatives, U users, I items, N = U + I nodes, E edges counted in both directions, D
embedding, F factors.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.graph import GraphArch, InitialEmbeddings, UserItemGraph
from recrun.architectures.prediction import Batch
from recrun.registry import MODELS
from recrun.types import Annotated, NonNegativeFloat, PositiveInt, Where

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


class _WeightedProduct(torch.autograd.Function):
    """Each node's weighted sum of its neighbours' rows, with gradients of the rows and of the weights."""

    @staticmethod
    def forward(context: Any, rows_ND: Tensor, weights_E: Tensor, heads_E: Tensor, graph: UserItemGraph) -> Tensor:
        context.save_for_backward(rows_ND, weights_E, heads_E)
        context.graph = graph
        return graph.sum_neighbors(rows_ND, weights_E)

    @staticmethod
    def backward(context: Any, gradient_ND: Tensor) -> tuple[Tensor, Tensor, None, None]:
        rows_ND, weights_E, heads_E = context.saved_tensors
        graph = context.graph
        of_weights_E = (gradient_ND[heads_E] * rows_ND[graph.neighbors]).sum(1)
        return graph.sum_neighbors(gradient_ND, weights_E[graph.reverse]), of_weights_E, None, None


class _EdgeProducts(torch.autograd.Function):
    """The product u_n · v_m of each edge n <- m, whose gradients are weighted sums of neighbours again."""

    @staticmethod
    def forward(context: Any, received_ND: Tensor, sent_ND: Tensor, heads_E: Tensor, graph: UserItemGraph) -> Tensor:
        context.save_for_backward(received_ND, sent_ND)
        context.graph = graph
        return (received_ND[heads_E] * sent_ND[graph.neighbors]).sum(1)

    @staticmethod
    def backward(context: Any, gradient_E: Tensor) -> tuple[Tensor, Tensor, None, None]:
        received_ND, sent_ND = context.saved_tensors
        graph = context.graph
        of_received_ND = graph.sum_neighbors(sent_ND, gradient_E.contiguous())
        return of_received_ND, graph.sum_neighbors(received_ND, gradient_E[graph.reverse]), None, None


@MODELS.register("dgcf", loss="bpr", new_users=True, gradients="dense")
class DGCF(GraphArch):
    """Score items by the product of embeddings averaged over layers of convolutions on one graph per intent.

    Embeddings are cut into F parts, one per intent. An edge has F logits, which start at 1; their softmax are its
    weights in the F graphs. In each of T iterations of a layer, the part f of node n becomes
    sum over its neighbours m of w_nm / sqrt(d_n d_m) times their part f in the layer below, with d the sums of a node's
    weights; then the logit of each edge n <- m grows by u_n · tanh(v_m), with u and v the parts of n after and of m
    before, both scaled to length 1. The last iteration gives the layer; logits go on to the next one. A score is the
    product of the means over layer 0 and the L layers. `correlation_weight` times the distance correlation of
    successive parts of random users and items, over F (F + 1) / 2, is added to the loss, to make intents independent.

    *Source:* Wang, Jin, Zhang, He, Xu, Chua, "Disentangled Graph Collaborative Filtering", SIGIR 2020, equations 4 to
    15; what neighbours are compared by, the nodes whose parts are made independent (per batch as many users as items,
    such that an epoch has about all of them), and the L2 term on the rows of a batch, as in its authors' code.

    Args:
        embedding_dim: length of the embeddings, a multiple of n_intents.
        n_layers: L, how often embeddings are propagated.
        n_intents: F, the intents.
        n_iterations: T, how often the weights of edges are revised in each layer.
        correlation_weight: weight of the distance correlation between intents.
        embedding_decay: weight of the L2 term on the embeddings of a batch before propagation, half their squared norms
            over B.
        similarity: "dot" for the product of the averaged embeddings, "cosine" for their cosine.
        **initial: how embeddings start.
    """

    heads: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_layers: PositiveInt = 1,
        n_intents: Annotated[
            PositiveInt,
            Where(
                "embedding_dim % n_intents == 0",
                "expected a divisor of embedding_dim {embedding_dim}, found {n_intents}",
            ),
        ] = 4,
        n_iterations: PositiveInt = 2,
        correlation_weight: NonNegativeFloat = 0.01,
        embedding_decay: NonNegativeFloat = 1e-3,
        similarity: Literal["dot", "cosine"] = "dot",
        **initial: Unpack[InitialEmbeddings],
    ) -> None:
        super().__init__(data, embedding_dim, embedding_decay, similarity)
        self.n_layers, self.n_intents, self.n_iterations = n_layers, n_intents, n_iterations
        self.correlation_weight = correlation_weight
        degrees_N = self.graph.starts.diff(append=torch.tensor([len(self.graph.neighbors)]))
        self.register_buffer("heads", torch.arange(len(degrees_N)).repeat_interleave(degrees_N), persistent=False)
        self.share = max(data.n_users, data.n_items) / max(1, data.csr().nnz)
        self.initialize_as(**initial)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch: that of its scores, the L2 term, and the correlation of intents."""
        vectors = self._propagate()
        with self.hold(vectors):
            loss = super().training_loss(batch, criterion)
        return loss + self._correlate(vectors, len(batch[self.user_column]))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the averaged embeddings of all users and all items, at unit length for the cosine."""
        return self.scale(self.held or self._propagate())

    def _propagate(self) -> tuple[Tensor, Tensor]:
        layer_ND = total_ND = self.nodes()
        logits_FE = layer_ND.new_ones(self.n_intents, len(self.heads))
        for number in range(self.n_layers):
            parts = layer_ND.chunk(self.n_intents, dim=1)
            tails = [torch.tanh(F.normalize(part, dim=1)) for part in parts]
            for iteration in range(self.n_iterations):
                weights_FE = logits_FE.softmax(dim=0)
                received = [self._receive(part, weights_E) for part, weights_E in zip(parts, weights_FE, strict=True)]
                if (number, iteration) != (self.n_layers - 1, self.n_iterations - 1):
                    agreed = [self._agree(part, tail) for part, tail in zip(received, tails, strict=True)]
                    logits_FE = logits_FE + torch.stack(agreed)
            layer_ND = torch.cat(received, dim=1)
            total_ND = total_ND + layer_ND
        return self.graph.split(total_ND / (self.n_layers + 1))

    def _receive(self, part_ND: Tensor, weights_E: Tensor) -> Tensor:
        """Return what nodes receive in the graph of an intent (N, D / F)."""
        sums_N = weights_E.new_zeros(len(part_ND)).index_add(0, self.heads, weights_E)
        roots_N1 = torch.where(sums_N > 0, sums_N, 1.0).rsqrt()[:, None]
        product: Tensor = _WeightedProduct.apply(roots_N1 * part_ND, weights_E, self.heads, self.graph)  # type: ignore[no-untyped-call]
        return roots_N1 * product

    def _agree(self, part_ND: Tensor, tails_ND: Tensor) -> Tensor:
        """Return how much the logit of each edge grows (E,)."""
        heads_ND = F.normalize(part_ND, dim=1)
        products: Tensor = _EdgeProducts.apply(heads_ND, tails_ND, self.heads, self.graph)  # type: ignore[no-untyped-call]
        return products

    def _correlate(self, vectors: tuple[Tensor, Tensor], n_rows: int) -> Tensor | float:
        if self.correlation_weight == 0 or self.n_intents == 1:
            return 0.0
        size = max(2, round(n_rows * self.share))
        drawn = [each[torch.randperm(len(each), device=each.device)[:size]] for each in vectors]
        parts = torch.cat(drawn).chunk(self.n_intents, dim=1)
        total = sum((distance_correlation(*pair) for pair in pairwise(parts)), start=parts[0].new_zeros(()))
        return self.correlation_weight * total / (self.n_intents * (self.n_intents + 1) / 2)


def distance_correlation(first_MD: Tensor, second_MD: Tensor) -> Tensor:
    """Return the distance correlation of two vectors of each of M nodes, 0 if they are independent, 1 if alike.

    *Source:* Székely, Rizzo, Bakirov, "Measuring and testing dependence by correlation of distances", Annals of
    Statistics 35(6), 2007, definition 5, with the authors' of DGCF 1e-8 under each root, so that gradients are finite.
    """
    first_MM, second_MM = _centered_distances(first_MD), _centered_distances(second_MD)
    pairs = (first_MM, second_MM), (first_MM, first_MM), (second_MM, second_MM)
    both, of_first, of_second = (((one * other).mean().clamp(min=0) + 1e-8).sqrt() for one, other in pairs)
    return both / ((of_first * of_second).sqrt() + 1e-10)


def _centered_distances(rows_MD: Tensor) -> Tensor:
    squares_M = rows_MD.square().sum(dim=1)
    squared_MM = squares_M[:, None] - 2 * rows_MD @ rows_MD.T + squares_M
    distances_MM = (squared_MM.clamp(min=0) + 1e-8).sqrt()
    means_M = distances_MM.mean(dim=1)
    return distances_MM - means_M - means_M[:, None] + means_M.mean()
