"""Define the base classes of models trained on users' whole rows.

Shapes: B users in a batch, I items, N items of all their rows together, H hidden units.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.base import Batch, RecSysArch, expect_scores
from recrun.architectures.networks import RowNetwork
from recrun.data.user_rows import UserRows, bags_of
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


class RowsArch(RecSysArch):
    """Base of models trained on users' whole rows: a batch holds users (B, 1), and an epoch has every user once.

    In training, `forward(users)` returns the scores (B, I) of all items for users (B,).

    Args:
        data: the train part.
    """

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.rows = UserRows(data)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of the rows of a batch's users.

        Args:
            batch: users (B, 1).
            criterion: the chosen loss.
        """
        users = batch[self.user_column][:, 0]
        if not criterion.compares_vectors:
            rows = self.rows.dense(users)
            loss = criterion.from_rows(expect_scores(self, self(users), rows.shape), rows)
        else:
            vectors = self.vectors()
            if vectors is None:
                raise ConfigError(f"{type(self).__name__} has no vectors(), which {type(criterion).__name__} needs")
            loss = criterion(vectors[0][users], vectors[1], *self.rows.pairs(users))
        return loss


class AutoencoderArch(RowsArch):
    """Base of models whose scores are a function of a row alone, so that they score anyone by a row of items."""

    @abstractmethod
    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""

    @abstractmethod
    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I) of zeros and ones."""

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,), by their rows in train."""
        return self.score_histories(self.rows.of(users))

    def network(self) -> RowNetwork:
        """Return the model as a network that scores items for rows."""
        return RowNetwork(self)


def encode_rows(rows: CSR, weights: Tensor, dropout: float = 0.0, *, training: bool = False) -> Tensor:
    """Return the products (B, H) of rows, each scaled to length 1, with the weights (I, H) of a first layer.

    A row has few items, so adding up their weights is cheaper than a product with the whole matrix.

    Args:
        rows: the items of B rows.
        weights: (I, H).
        dropout: in training, the rate at which items are dropped from rows after the scaling; the others are divided
            by 1 - dropout.
        training: whether items are dropped.
    """
    items_N, starts_B = bags_of(rows, weights.device)
    lengths_B = torch.cat([starts_B[1:], starts_B.new_tensor([len(items_N)])]) - starts_B
    values_N = torch.repeat_interleave(lengths_B.to(weights.dtype).rsqrt(), lengths_B)
    values_N = F.dropout(values_N, dropout, training)
    return F.embedding_bag(items_N, weights, starts_B, mode="sum", per_sample_weights=values_N)


def unit_rows(rows: Tensor) -> Tensor:
    """Return rows (B, I) of zeros and ones, each scaled to length 1; a row of zeros stays so."""
    return rows * rows.sum(dim=1, keepdim=True).clamp(min=1).rsqrt()
