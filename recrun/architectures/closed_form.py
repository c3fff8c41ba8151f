"""Define the base class of models computed directly from the train part, without gradients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.base import Batch, RecSysArch
from recrun.errors import ConfigError

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import TrainingData


class ClosedFormArch(RecSysArch):
    """Base of models computed directly from the train part, without gradients.

    What `fit` computes must be stored in buffers, so that checkpoints contain it; a sparse result in a
    `recrun.architectures.sparse.SparseMatrix`.

    Attributes:
        progress: called with (done, total) during a long `fit`, or None.
        notes: what the last `fit` has to tell the user, such as that it stopped before it converged; shown as warnings.
    """

    progress: Callable[[int, int], None] | None = None
    notes: Sequence[str] = ()

    @abstractmethod
    def fit(self, data: TrainingData) -> None:
        """Compute the model from the training interactions."""

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Raise ConfigError: the model has no training loss."""
        raise ConfigError(f"{type(self).__name__} is fitted in closed form and has no training loss")
