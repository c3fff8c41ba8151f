"""The family of models that are computed from the training data at once, without gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.base import Batch, RecSysArch
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


class ClosedFormArch(RecSysArch):
    """Base of models that are computed from the training data at once, without gradients.

    What `fit` computes must be kept in buffers, so that checkpoints hold it; where it is sparse, in a
    `recrun.architectures.sparse.SparseMatrix`.

    Attributes:
        progress: is told (done, total) while a long `fit` works; None when nobody listens.
    """

    progress: Callable[[int, int], None] | None = None

    @abstractmethod
    def fit(self, data: TrainingData) -> None:
        """Compute the model from the training interactions."""

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Refuse: there is nothing to descend."""
        raise ConfigError(f"{type(self).__name__} is fitted in closed form and has no training loss")
