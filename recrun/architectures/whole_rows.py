"""Define the base class of models trained on users' whole rows.

Shapes: B users in a batch, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.base import Batch, RecSysArch, expect_scores
from recrun.data.user_rows import UserRows
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


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
