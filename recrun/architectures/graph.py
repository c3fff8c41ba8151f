"""Propagate embeddings over the graph of users and items; define the base class of models that do so.

Shapes: U users, I items, N = U + I nodes (users first), E edges counted in both directions, D embedding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.data.fields import Tokenizer
from recrun.data.tags import ID, ITEM, USER

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


class UserItemGraph(nn.Module):
    """The interactions as a graph of users and items, with edges weighted by the degrees d: d_u^-1/2 d_i^-1/2.

    Called with node embeddings (N, D), it returns their product with the weighted adjacency matrix (N, N): for each
    node the weighted sum of its neighbours' embeddings, 0 if it has none. The matrix is symmetric, so the backward pass
    is the same product.

    The graph moves with the model to its device but is not part of its state: it is rebuilt from the train part.

    *Source:* the matrix is that of He, Deng, Wang, Li, Zhang, Wang, "LightGCN", SIGIR 2020, equation 8.

    Args:
        rows: the interactions (U, I), 1 where the user has interacted with the item.
    """

    neighbors: Tensor
    starts: Tensor
    weights: Tensor

    def __init__(self, rows: csr_matrix) -> None:
        super().__init__()
        self.n_users, self.n_items = rows.shape
        columns = rows.T.tocsr()
        neighbors_E = np.concatenate([rows.indices.astype(np.int64) + self.n_users, columns.indices])
        degrees_N = np.concatenate([np.diff(rows.indptr), np.diff(columns.indptr)])
        roots_N = degrees_N.clip(1) ** -0.5
        weights_E = np.repeat(roots_N, degrees_N) * roots_N[neighbors_E]
        starts_N = np.cumsum(degrees_N) - degrees_N
        for name, array in (("neighbors", neighbors_E), ("starts", starts_N.astype(np.int64))):
            self.register_buffer(name, torch.from_numpy(array), persistent=False)
        self.register_buffer("weights", torch.from_numpy(weights_E.astype(np.float32)), persistent=False)

    def forward(self, nodes_ND: Tensor) -> Tensor:
        """Return each node's weighted sum of its neighbours' embeddings (N, D)."""
        product: Tensor = _SymmetricProduct.apply(nodes_ND, self)  # type: ignore[no-untyped-call]
        return product

    def sum_neighbors(self, nodes_ND: Tensor) -> Tensor:
        """Return the same, without a backward pass."""
        # A weighted bag of rows per node: on a CPU three to five times as fast as the sparse-dense products of torch or
        # scipy, and it sums in a fixed order on every device.
        nodes_ND = nodes_ND.to(self.weights.dtype).contiguous()
        return F.embedding_bag(self.neighbors, nodes_ND, self.starts, mode="sum", per_sample_weights=self.weights)

    def split(self, nodes_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Return the users' (U, D) and the items' (I, D) part of node embeddings."""
        return nodes_ND[: self.n_users], nodes_ND[self.n_users :]


class _SymmetricProduct(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, nodes_ND: Tensor, graph: UserItemGraph) -> Tensor:
        context.graph = graph
        return graph.sum_neighbors(nodes_ND)

    @staticmethod
    def backward(context: Any, gradient_ND: Tensor) -> tuple[Tensor, None]:
        return context.graph.sum_neighbors(gradient_ND), None


class GraphArch(RecSysArch):
    """Base of models that propagate embeddings of users and items over their graph.

    A model defines `vectors()`, whose products are its scores, and calls `initialize` at the end of its constructor.
    Its L2 term is on embeddings before propagation unless it overrides `penalty`. A model that offers cosines as scores
    hands on its setting `similarity`, and returns `scale(...)` of its vectors.

    Args:
        data: the train part.
        embedding_dim: length of the embeddings.
        embedding_decay: weight of the L2 term of a batch: half the sum of the squared norms of its embeddings, divided
            by B.
        similarity: "dot" for the product of the vectors, "cosine" for their cosine.
    """

    def __init__(
        self,
        data: TrainingData,
        embedding_dim: int,
        embedding_decay: float,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(data.fields.groupby(ID))
        self.tokenizer.embed(embedding_dim, ID)
        self.User, self.Item = self.tokenizer[USER, ID], self.tokenizer[ITEM, ID]
        self.graph = UserItemGraph(data.matrix())
        self.embedding_decay = embedding_decay
        self.similarity = similarity
        self.fold_in = FoldIn(self, unit=similarity == "cosine")
        self.held: tuple[Tensor, Tensor] | None = None

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
        return (F.embedding(users, users_UV) * F.embedding(items, items_IV)).sum(-1)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's embeddings before propagation."""
        if self.embedding_decay == 0:
            return 0.0
        squares = self.User.look_up(users).square().sum() + self.Item.look_up(items).square().sum()
        return self.embedding_decay * 0.5 * squares / len(users)
