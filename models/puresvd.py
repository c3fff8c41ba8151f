"""PureSVD: truncated singular value decomposition of the interaction matrix.

Shapes: U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.sparse import truncated_svd
from recrun.data.user_rows import bags_of
from recrun.registry import MODELS
from recrun.types import PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("puresvd", new_users=True)
class PureSVD(ClosedFormArch):
    """Factorise the interaction matrix by truncated singular value decomposition.

    Missing entries count as 0. With V (I, D) the right singular vectors, the scores are X V V'.

    *Source:* Cremonesi, Koren, Turrin, "Performance of Recommender Algorithms on Top-N Recommendation Tasks", RecSys
    2010, the model PureSVD.

    Args:
        embedding_dim: how many singular values are kept, at most min(U, I).
    """

    user_vectors: Tensor
    item_vectors: Tensor

    def __init__(self, data: TrainingData, *, embedding_dim: PositiveInt = 64) -> None:
        super().__init__()
        self.register_buffer("user_vectors", torch.zeros(data.n_users, embedding_dim))
        self.register_buffer("item_vectors", torch.zeros(data.n_items, embedding_dim))

    def fit(self, data: TrainingData) -> None:
        """Factor the interaction matrix."""
        left, values, right = truncated_svd(data.matrix(), self.item_vectors.shape[1])
        self.user_vectors.copy_(torch.from_numpy(left * values))
        self.item_vectors.copy_(torch.from_numpy(right))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the users' rows projected on the singular vectors (U, D), and the singular vectors (I, D)."""
        return self.user_vectors, self.item_vectors

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the rows of new users projected on the singular vectors, (B, D)."""
        items_N, starts_B = bags_of(histories.distinct(), self.item_vectors.device)
        return F.embedding_bag(items_N, self.item_vectors, starts_B, mode="sum")
