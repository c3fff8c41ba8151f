"""Matrix factorisation trained on all items at once, without negative sampling.

Shapes: B users in a batch, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import Batch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.whole_rows import RowsArch
from recrun.errors import ConfigError, Fault
from recrun.registry import LOSSES, MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("enmf", loss="whole_data", new_users=True, gradients="mixed")
class ENMF(RowsArch):
    """Factorise the interaction matrix by a weighted squared loss over all items, without negative sampling.

    The score is Σ_d h_d p_ud q_id. Dropout is applied to p in training.

    *Source:* Chen, Zhang, Zhang, Liu, Ma, "Efficient Neural Matrix Factorization without Sampling for Recommendation",
    ACM TOIS 38(2), 2020, section 4 (the user-based loss). All negatives have one weight, as in the authors' code, or
    one by the popularity m of the item, as in the paper: c_i is proportional to m_i^ρ. There the weights sum to c₀;
    here c₀ is their mean, so that it means the same with and without. The code starts with h = 0.01 and trains by
    Adagrad with learning rate 0.05.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial embeddings.
        init_weight: initial value of each h_d; 0.01 in the authors' code.
        weight_exponent: ρ, how the weight of an item that a user has not interacted with grows with the number of
            users who have; 0 for one weight.
        dropout: dropout rate of the users' embeddings.
    """

    factors: Tensor | None

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        init_std: PositiveFloat = 0.01,
        init_weight: PositiveFloat = 1.0,
        weight_exponent: Annotated[
            NonNegativeFloat, AppliesIf("loss == 'whole_data'", "it weighs the terms of loss whole_data, found {loss}")
        ] = 0.0,
        dropout: Fraction = 0.3,
    ) -> None:
        super().__init__(data)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.weights = nn.Parameter(torch.full((embedding_dim,), init_weight))
        self.dropout = dropout
        powers_I = data.item_counts() ** weight_exponent
        factors_I = torch.from_numpy((powers_I / max(powers_I.mean(), 1e-12)).astype(np.float32))
        self.register_buffer("factors", factors_I if weight_exponent else None, persistent=False)
        self.fold_in = FoldIn(self)
        self.initialize(init_std)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users (B, 1), with the weights of items.

        Raises:
            ConfigError: items have weights of their own, and the criterion is not `whole_data`.
        """
        if self.factors is None:
            return super().training_loss(batch, criterion)
        if not isinstance(criterion, LOSSES.get("whole_data")):
            message = f"it weighs the terms of loss whole_data, found {type(criterion).__name__}"
            raise ConfigError(Fault(message, key="weight_exponent"))
        users, vectors = batch[self.user_column][:, 0], self.vectors()
        loss: Tensor = criterion(vectors[0][users], vectors[1], *self.rows.pairs(users), self.factors)
        return loss

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
