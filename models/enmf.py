"""Matrix factorisation trained on all items at once, without negative sampling.

Shapes: B users in a batch, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.fold_in import FoldIn
from recrun.architectures.whole_rows import RowsArch
from recrun.registry import MODELS
from recrun.types import Fraction, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("enmf", loss="whole_data", new_users=True, gradients="mixed")
class ENMF(RowsArch):
    """Factorise the interaction matrix by a weighted squared loss over all items, without negative sampling.

    The score is Σ_d h_d p_ud q_id. Dropout is applied to p in training.

    *Source:* Chen, Zhang, Zhang, Liu, Ma, "Efficient Neural Matrix Factorization without Sampling for Recommendation",
    ACM TOIS 38(2), 2020, section 4 (the user-based loss). All negatives have one weight, as in the authors' code; the
    paper also has weights by popularity. The code starts with h = 0.01 and trains by Adagrad with learning rate 0.05.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial embeddings.
        init_weight: initial value of each h_d; 0.01 in the authors' code.
        dropout: dropout rate of the users' embeddings.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        init_std: PositiveFloat = 0.01,
        init_weight: PositiveFloat = 1.0,
        dropout: Fraction = 0.3,
    ) -> None:
        super().__init__(data)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.weights = nn.Parameter(torch.full((embedding_dim,), init_weight))
        self.dropout = dropout
        self.fold_in = FoldIn(self)
        self.initialize(init_std)

    def forward(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self.score(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return users' embeddings (U, D), weighted and with dropout in training, and items' (I, D)."""
        users = F.dropout(self.users.weight, self.dropout, self.training)
        return users * self.weights, self.items.weight

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users by `FoldIn`."""
        return self.fold_in.embed(histories)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.fold_in.score(histories)
