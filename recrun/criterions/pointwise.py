"""Pointwise losses: compare each score with its target, such as 1 for a positive and 0 for a negative.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows, require_one_shape
from recrun.errors import TrainingError
from recrun.registry import LOSSES
from recrun.types import UnitInterval


@LOSSES.register("bce", masks=True)
class BCELoss4Logits(BaseCriterion):
    """Classify each item as positive or negative on its own: binary cross entropy on logits.

    Per score: -y log σ(s) - (1 - y) log(1 - σ(s)).

    *Source:* He, Liao, Zhang, Nie, Hu and Chua, WWW 2017, eq. 7.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits `preds` against `targets` in [0, 1], both of the same shape."""
        require_one_shape(preds, targets)
        return self.reduce(F.binary_cross_entropy_with_logits(preds, targets.to(preds.dtype), reduction="none"))


@LOSSES.register("gbce", masks=True)
class GBCELoss(BaseCriterion):
    """Classify items by binary cross entropy, corrected for the overconfidence that negative sampling causes.

    Per row: -(β log σ(s⁺) + Σ log(1 - σ(s⁻))) / (K + 1), with the sampling rate α = K / (n_items - 1), at most 1,
    and β = α (t (1 - 1/α) + 1/α). With t = 0 this is `bce`; with t = 1 the model's probabilities are those of
    training without sampling. With more negatives than other items, which then repeat, it is `bce` as well.

    *Source:* Petrov and Macdonald, RecSys 2023 (gSASRec), section 5.

    Args:
        calibration: t, how much of the overconfidence is corrected: 0 none, 1 all.
    """

    def __init__(self, reduction: Reduction = "mean", *, calibration: UnitInterval = 0.75) -> None:
        super().__init__(reduction)
        self.calibration = calibration

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B, 1+K).

        Raises:
            TrainingError: `bind` has not been called.
        """
        if self.n_items is None:
            raise TrainingError("GBCELoss needs the number of items: call bind(n_items) first")
        pos_B1, neg_BK = as_rows(pos, neg)
        rate = min(1.0, neg_BK.size(1) / max(1, self.n_items - 1))
        beta = self.calibration * (rate - 1) + 1
        return self.reduce(torch.cat([beta * F.softplus(-pos_B1), F.softplus(neg_BK)], dim=1))


@LOSSES.register("mse")
class MSELoss(BaseCriterion):
    """Predict target values by squared error; with sampled negatives, 1 for the positive and 0 for negatives.

    Per score: (s - y)².

    *Source:* Koren, Bell and Volinsky, IEEE Computer 42(8), 2009, eq. 2, without its regularisation.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `preds` against `targets`, both of the same shape."""
        require_one_shape(preds, targets)
        return self.reduce((preds - targets.to(preds.dtype)).square())


@LOSSES.register("l1")
class L1Loss(BaseCriterion):
    """Predict target values by absolute error; with sampled negatives, 1 for the positive and 0 for negatives.

    Per score: |s - y|, with gradient 0 where the two are equal.

    *Source:* least absolute deviations, textbook definition.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `preds` against `targets`, both of the same shape."""
        require_one_shape(preds, targets)
        return self.reduce((preds - targets.to(preds.dtype)).abs())
