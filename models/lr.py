"""Logistic regression on categorical fields.

Shapes: B rows, F fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from recrun.architectures.prediction import Batch, Decays, LinearTerms, PredictingArch
from recrun.registry import MODELS
from recrun.types import PositiveFloat

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import TrainingData


@MODELS.register("lr", loss="bce", gradients="mixed")
class LR(PredictingArch):
    """Predict a click by logistic regression on the values of the fields.

    *Source:* Richardson, Dominowska, Ragno, "Predicting Clicks: Estimating the Click-Through Rate for New Ads", WWW
    2007, section 5.

    Args:
        init_std: standard deviation of the initial weights.
        **decays: weights of the L2 terms.
    """

    def __init__(self, data: TrainingData, *, init_std: PositiveFloat = 0.01, **decays: Unpack[Decays]) -> None:
        super().__init__(data, **decays)
        self.linear = LinearTerms(self.features)
        self.initialize(init_std)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits (B,)."""
        return self.linear(batch)
