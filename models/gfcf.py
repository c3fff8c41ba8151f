"""GF-CF: collaborative filtering by graph filters in closed form.

Shapes: B users in a batch, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.sparse import dense_product, scale_rows, truncated_svd
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData

_GRAPH_ENTRIES: Final = 1 << 26
"""Most pairs of items of a graph that is kept as a dense matrix, of 256 MB."""
_DENSE_SPEED: Final = 8
"""How many entries of a dense matrix are added in the time of one of a sparse matrix; about 10 were measured."""


@MODELS.register("gfcf", new_users=True)
class GFCF(ClosedFormArch):
    """Smooth each user's interactions over the item graph by a linear and an ideal low-pass filter.

    With N = Du^-1/2 X Di^-1/2 the interactions normalized by the numbers of items (Du) and of users (Di), and V (I, D)
    its right singular vectors of the largest singular values, the scores are
    X (N'N + alpha Di^-1/2 V V' Di^1/2).

    *Source:* Shen, Wu, Zhang, Shan, Zhang, Letaief, Li, "How Powerful is Graph Convolution for Recommendation?", CIKM
    2021, the model GF-CF.

    Args:
        embedding_dim: how many singular vectors the low-pass filter keeps.
        alpha: weight of the low-pass filter.
    """

    user_vectors: Tensor
    item_vectors: Tensor

    def __init__(self, data: TrainingData, *, embedding_dim: PositiveInt = 64, alpha: NonNegativeFloat = 0.3) -> None:
        super().__init__()
        self.alpha = alpha
        self.rows = data.matrix()
        self.normalized = scale_rows(self.rows, data.csr().lengths.clip(1) ** -0.5)
        self.roots = _roots(data)
        self.normalized.data *= self.roots[self.normalized.indices] ** -1
        self.transposed = self.normalized.T.tocsr()
        self.keeps_graph = _graph_is_less_work(self.rows)
        self._graph: np.ndarray | None = None  # made for the first scores
        self.register_buffer("user_vectors", torch.zeros(data.n_users, embedding_dim))
        self.register_buffer("item_vectors", torch.zeros(data.n_items, embedding_dim))

    def fit(self, data: TrainingData) -> None:
        """Find the singular vectors that the low-pass filter keeps."""
        _, _, right = truncated_svd(self.normalized, self.item_vectors.shape[1])
        roots = self.roots[:, None]
        self.user_vectors.copy_(torch.from_numpy(self.rows @ (right / roots)))
        self.item_vectors.copy_(torch.from_numpy(right * roots))

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self._smooth(self.rows[users.cpu().numpy()], self.user_vectors[users])

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        rows = histories.distinct().to_scipy(len(self.item_vectors))
        rows_of_filter = rows.copy()
        rows_of_filter.data /= self.roots[rows.indices] ** 2
        users_BD = rows_of_filter @ self.item_vectors.cpu().numpy()
        return self._smooth(rows, torch.from_numpy(users_BD).to(self.item_vectors.device))

    def _smooth(self, rows: csr_matrix, users_BD: Tensor) -> Tensor:
        """Return the scores (B, I) of rows (B, I) with their projections X Di^-1/2 V."""
        if self.keeps_graph:
            if self._graph is None:
                self._graph = dense_product(self.transposed, self.normalized)
            scores = torch.from_numpy(rows @ self._graph)
        else:  # from item to user to item
            scores = torch.from_numpy(dense_product(rows @ self.transposed, self.normalized))
        return scores.to(users_BD.device).addmm_(users_BD, self.item_vectors.T, alpha=self.alpha)


def _graph_is_less_work(rows: csr_matrix) -> bool:
    """Return whether all users are scored sooner by the graph of items N'N (I, I) than by two sparse products.

    The graph is dense, since it has many more edges than there are interactions. Two users are counted as having common
    items as far as the numbers of interactions allow it.

    Args:
        rows: the interactions (U, I).
    """
    n_users, n_items = rows.shape
    if n_items**2 > _GRAPH_ENTRIES:
        return False
    lengths_U, counts_I = (np.asarray(rows.sum(axis), dtype=np.float64).ravel() for axis in (1, 0))
    paths_U = rows @ counts_I
    mean_length = float((rows.T @ lengths_U) @ counts_I) / max(1, paths_U.sum())
    of_products = paths_U.sum() + np.minimum(paths_U, n_users).sum() * mean_length
    of_graph = (lengths_U**2).sum() + rows.nnz * n_items / _DENSE_SPEED
    return bool(of_graph < of_products)


def _roots(data: TrainingData) -> np.ndarray:
    """Return the square roots of the items' numbers of users (I,); 1 for items without users."""
    return np.sqrt(data.item_counts().clip(1)).astype(np.float32)
