"""Propagate embeddings over the graph of users and items; define the base class of models that do so.

Shapes: U users, I items, N = U + I nodes (users first), E edges counted in both directions, D embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.data.fields import Tokenizer
from recrun.data.tags import ID, ITEM, USER
from recrun.types import Annotated, AppliesIf, Default, PositiveFloat

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


Normalization = Literal["symmetric", "left", "right", "none"]


class EdgeWeights(NamedTuple):
    """A weight for each edge in each direction."""

    weights_E: Tensor
    """The weights of the messages that a node receives, node after node."""
    transposed_E: Tensor
    """The weights of the messages that it sends, in the same order: those of the backward pass."""


class UserItemGraph(nn.Module):
    """The interactions as a graph of users and items, with edges weighted by the degrees d of their nodes.

    Called with node embeddings (N, D), it returns their product with the weighted adjacency matrix (N, N): for each
    node the weighted sum of its neighbours' embeddings, 0 if it has none. The backward pass is the product with the
    transposed matrix; weights are not trained.

    The graph moves with the model to its device but is not part of its state: it is rebuilt from the train part. Edges
    are drawn by torch's generator, whose state is part of a checkpoint.

    *Source:* the matrix is that of He, Deng, Wang, Li, Zhang, Wang, "LightGCN", SIGIR 2020, equation 8.

    Args:
        rows: the interactions (U, I), 1 where the user has interacted with the item.
        normalization: the weight of a message from m to n: d_n^-1/2 d_m^-1/2 if "symmetric", 1 / d_n if "left" (the
            mean of the neighbours), 1 / d_m if "right", 1 if "none".
    """

    neighbors: Tensor
    starts: Tensor
    weights: Tensor
    transposed: Tensor
    reverse: Tensor

    def __init__(self, rows: csr_matrix, normalization: Normalization = "symmetric") -> None:
        super().__init__()
        self.n_users, self.n_items = rows.shape
        numbers = csr_matrix((np.arange(rows.nnz), rows.indices, rows.indptr), shape=rows.shape)
        columns = numbers.T.tocsr()
        neighbors_E = np.concatenate([rows.indices.astype(np.int64) + self.n_users, columns.indices])
        degrees_N = np.concatenate([np.diff(rows.indptr), np.diff(columns.indptr)])
        starts_N = np.cumsum(degrees_N) - degrees_N
        reverse_E = np.concatenate([np.empty(rows.nnz, dtype=np.int64), columns.data])
        reverse_E[columns.data] = rows.nnz + np.arange(rows.nnz)
        weights_E = _weigh(degrees_N, neighbors_E, normalization)
        for name, array in (("neighbors", neighbors_E), ("starts", starts_N), ("reverse", reverse_E)):
            self.register_buffer(name, torch.from_numpy(array.astype(np.int64)), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights_E), persistent=False)
        transposed = self.weights if normalization in ("symmetric", "none") else self.weights[self.reverse]
        self.register_buffer("transposed", transposed, persistent=False)

    def forward(self, nodes_ND: Tensor, edges: EdgeWeights | None = None) -> Tensor:
        """Return each node's weighted sum of its neighbours' embeddings (N, D).

        Args:
            nodes_ND: the embeddings.
            edges: other weights than those of the degrees, such as those of `drop` and `subgraph`.
        """
        product: Tensor = _Product.apply(nodes_ND, self, edges or EdgeWeights(self.weights, self.transposed))  # type: ignore[no-untyped-call]
        return product

    def average(self, nodes_ND: Tensor, weights: Sequence[float], edges: EdgeWeights | None = None) -> Tensor:
        """Return the sum of w_k A^k E over the layers k = 0, 1, ... (N, D).

        Forward and backward pass hold one layer at a time, and add each to the sum in place.

        Args:
            nodes_ND: E, the embeddings before propagation.
            weights: w_k, one for each layer, that of layer 0 first.
            edges: the weights of A, if not those of the degrees.
        """
        mean: Tensor = _Average.apply(nodes_ND, self, weights, edges or EdgeWeights(self.weights, self.transposed))  # type: ignore[no-untyped-call]
        return mean

    def sum_neighbors(self, nodes_ND: Tensor, weights_E: Tensor) -> Tensor:
        """Return the sums of the neighbours' embeddings with some weights, without a backward pass."""
        return weighted_sums(nodes_ND, self.neighbors, self.starts, weights_E)

    def drop(self, rate: float) -> EdgeWeights:
        """Return the weights with each message dropped at a rate, and the others divided by 1 - rate.

        The two directions of an edge are dropped independently, as in the code of LightGCN.
        """
        weights_E = F.dropout(self.weights, rate)
        return EdgeWeights(weights_E, weights_E[self.reverse])

    def subgraph(self, rate: float) -> EdgeWeights:
        """Return the weights of the graph without a share of the interactions, drawn at random.

        They are d_n^-1/2 d_m^-1/2 with the degrees of what is left; what is dropped weighs 0.
        """
        n_interactions = len(self.neighbors) // 2
        order = torch.randperm(n_interactions, device=self.weights.device)
        return self._restricted(order[: int(n_interactions * (1 - rate))])

    def prune(self, rate: float) -> EdgeWeights:
        """Return the weights of `subgraph`, with interactions drawn to be left by their weights d_n^-1/2 d_m^-1/2.

        They are drawn one after the other without replacement, so that those of nodes of high degree are left out most.
        """
        n_interactions = len(self.neighbors) // 2
        # The largest of weights over exponential variables are such a draw (Efraimidis, Spirakis, 2006).
        keys = self.weights[:n_interactions] / torch.empty_like(self.weights[:n_interactions]).exponential_()
        return self._restricted(keys.topk(int(n_interactions * (1 - rate)), sorted=False).indices)

    def _restricted(self, kept: Tensor) -> EdgeWeights:
        """Return the weights of the graph with some interactions alone, given their positions."""
        n_edges = len(self.neighbors)
        left = torch.zeros(n_edges // 2, dtype=torch.int64, device=self.weights.device)
        left[kept] = 1
        left_E = torch.cat([left, left[self.reverse[n_edges // 2 :]]])
        before_E = F.pad(left_E.cumsum(0), (1, 0))
        ends_N = torch.cat([self.starts[1:], self.starts.new_tensor([n_edges])])
        roots_N = (before_E[ends_N] - before_E[self.starts]).clamp(min=1).to(self.weights.dtype).rsqrt()
        weights_E = left_E * roots_N.repeat_interleave(ends_N - self.starts, output_size=n_edges)
        weights_E = weights_E * roots_N[self.neighbors]
        return EdgeWeights(weights_E, weights_E)

    def split(self, nodes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Return the users' (U, D) and the items' (I, D) part of node embeddings."""
        users_UD, items_ID = torch.split(nodes_ND, [self.n_users, self.n_items])
        return users_UD, items_ID


def weighted_sums(nodes_ND: Tensor, neighbors_E: Tensor, starts_N: Tensor, weights_E: Tensor) -> Tensor:
    """Return for each node the weighted sum of some rows (N, D), without a backward pass.

    Args:
        nodes_ND: the rows.
        neighbors_E: which rows are summed, node after node.
        starts_N: where those of each node begin.
        weights_E: their weights.
    """
    # A weighted bag of rows per node: on a CPU three to five times as fast as the sparse-dense products of torch or
    # scipy, and it sums in a fixed order on every device.
    nodes_ND = nodes_ND.to(weights_E.dtype).contiguous()
    return F.embedding_bag(neighbors_E, nodes_ND, starts_N, mode="sum", per_sample_weights=weights_E)


def _weigh(degrees_N: np.ndarray, neighbors_E: np.ndarray, normalization: Normalization) -> np.ndarray:
    """Return the weights (E,) of the messages that nodes receive from their neighbours."""
    power = {"symmetric": -0.5, "left": -1.0, "right": -1.0, "none": 0.0}[normalization]
    factors_N = degrees_N.clip(1) ** power
    weights_E = np.ones(len(neighbors_E))
    if normalization != "right":
        weights_E = np.repeat(factors_N, degrees_N)
    if normalization != "left":
        weights_E = weights_E * factors_N[neighbors_E]
    return weights_E.astype(np.float32)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, nodes_ND: Tensor, graph: UserItemGraph, edges: EdgeWeights) -> Tensor:
        context.graph, context.transposed_E = graph, edges.transposed_E
        return graph.sum_neighbors(nodes_ND, edges.weights_E)

    @staticmethod
    def backward(context: Any, gradient_ND: Tensor) -> tuple[Tensor, None, None]:
        return context.graph.sum_neighbors(gradient_ND, context.transposed_E), None, None


class _Average(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, nodes_ND: Tensor, graph: UserItemGraph, weights: Sequence[float], edges: EdgeWeights
    ) -> Tensor:
        context.graph, context.weights, context.transposed_E = graph, weights, edges.transposed_E
        mean_ND, layer_ND = nodes_ND * weights[0], nodes_ND
        for weight in weights[1:]:
            layer_ND = graph.sum_neighbors(layer_ND, edges.weights_E)
            mean_ND.add_(layer_ND, alpha=weight)
        return mean_ND

    @staticmethod
    def backward(context: Any, gradient_ND: Tensor) -> tuple[Tensor, None, None, None]:
        *weights, last = context.weights  # by Horner's rule: w_0 G + A'(w_1 G + A'(w_2 G + ...))
        sum_ND = gradient_ND * last
        for weight in reversed(weights):
            sum_ND = context.graph.sum_neighbors(sum_ND, context.transposed_E).add_(gradient_ND, alpha=weight)
        return sum_ND, None, None, None


class InitialEmbeddings(TypedDict, total=False):
    """Settings of the initial embeddings of models whose authors start by Xavier's.

    Args:
        initialization: "xavier" for a uniform distribution by the size of each table, of standard deviation
            √(2 / (U + D)) or √(2 / (I + D)); "normal" for N(0, `init_std`²).
        init_std: standard deviation of normal ones.
    """

    initialization: Annotated[Literal["xavier", "normal"], Default("xavier")]
    init_std: Annotated[
        PositiveFloat,
        Default(0.1),
        AppliesIf("initialization == 'normal'", "it is for initialization=normal, found {initialization}"),
    ]


class GraphArch(RecSysArch):
    """Base of models that propagate embeddings of users and items over their graph.

    A model defines `vectors()`, whose products are its scores, and calls `initialize` or `initialize_as` at the end of
    its constructor. Its L2 term is on embeddings before propagation unless it overrides `penalty`. A model that offers
    cosines as scores hands on its setting `similarity`, and returns `scale(...)` of its vectors.

    Args:
        data: the train part.
        embedding_dim: length of the embeddings.
        embedding_decay: weight of the L2 term of a batch: half the sum of the squared norms of its embeddings, divided
            by B.
        similarity: "dot" for the product of the vectors, "cosine" for their cosine.
        normalization: how edges are weighted, see `UserItemGraph`.
    """

    def __init__(
        self,
        data: TrainingData,
        embedding_dim: int,
        embedding_decay: float,
        similarity: Literal["dot", "cosine"] = "dot",
        normalization: Normalization = "symmetric",
    ) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(data.fields.groupby(ID))
        self.tokenizer.embed(embedding_dim, ID)
        self.User, self.Item = self.tokenizer[USER, ID], self.tokenizer[ITEM, ID]
        self.graph = UserItemGraph(data.matrix(), normalization)
        self.embedding_decay = embedding_decay
        self.batch_items = BatchItems(data.n_items, penalized=embedding_decay > 0)
        self.similarity = similarity
        self.fold_in = FoldIn(self, unit=similarity == "cosine")
        self.held: tuple[Tensor, Tensor] | None = None

    def initialize_as(self, initialization: Literal["xavier", "normal"] = "xavier", init_std: float = 0.1) -> None:
        """Draw the embeddings as `InitialEmbeddings` says, and weights of linear layers by Xavier initialisation."""
        self.initialize(init_std)
        for table in (self.User, self.Item) if initialization == "xavier" else ():
            nn.init.xavier_uniform_(table.embeddings.weight)

    @abstractmethod
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of all users (U, V) and all items (I, V)."""

    def scale(self, vectors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return vectors of users and items as they are for the product, at unit length for the cosine."""
        if self.similarity == "dot":
            return vectors
        return F.normalize(vectors[0], dim=-1), F.normalize(vectors[1], dim=-1)

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users by `FoldIn`."""
        return self.fold_in.embed(histories)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.fold_in.score(histories)

    @contextmanager
    def hold(self, vectors: tuple[Tensor, Tensor]) -> Iterator[None]:
        """Keep the vectors of a training step in `held`, for a model whose L2 term is on those that were scored."""
        self.held = vectors
        try:
            yield
        finally:
            self.held = None

    def nodes(self) -> Tensor:
        """Return the embeddings (N, D) before propagation."""
        return torch.cat([self.User.embeddings.weight, self.Item.embeddings.weight])

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        users_UV, items_IV = self.vectors()

        def of_items(items: Tensor | None) -> Tensor:
            return items_IV if items is None else F.embedding(items, items_IV)

        return self.batch_items.scores(F.embedding(users[:, 0], users_UV), items, of_items)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's embeddings before propagation."""
        if self.embedding_decay == 0:
            return 0.0
        squares = self.User.look_up(users).square().sum() + self.batch_items.sum_squares(self.Item.look_up, items)
        return self.embedding_decay * 0.5 * squares / len(users)
