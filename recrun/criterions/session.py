"""Losses made for recurrent models of sessions, which also keep the scores of negatives near zero.

Letters in shapes: B rows of the batch, K sampled negatives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.registry import LOSSES
from recrun.types import NonNegativeFloat


@LOSSES.register("top1")
class TOP1Loss(BaseCriterion):
    """Rank each positive above its sampled negatives, and keep these near zero: a soft relative rank.

    Per row: mean of σ(s⁻ - s⁺) + σ(s⁻²) over the negatives.

    *Source:* Hidasi, Karatzoglou, Baltrunas and Tikk, ICLR 2016, section 3.1.3. Their first code also takes
    σ(s⁺²) / (K + 1) away, since there the positive is one of the items of the sum.
    """

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = as_rows(pos, neg)
        return self.reduce(_top1(pos_B1, neg_BK).mean(dim=1))


@LOSSES.register("top1_max")
class TOP1MaxLoss(BaseCriterion):
    """Rank each positive above the highest scored of its negatives, and keep these near zero.

    Per row: Σ w (σ(s⁻ - s⁺) + σ(s⁻²)), with w the softmax of the scores of the row's negatives. With one negative it is
    `top1`.

    *Source:* Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations",
    CIKM 2018, section 3.3.1, eq. 5.
    """

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = as_rows(pos, neg)
        return self.reduce((neg_BK.softmax(dim=1) * _top1(pos_B1, neg_BK)).sum(dim=1))


@LOSSES.register("bpr_max")
class BPRMaxLoss(BaseCriterion):
    """Rank each positive above the highest scored of its negatives: BPR of a soft maximum, with an L2 term on scores.

    Per row: -log Σ w σ(s⁺ - s⁻) + λ Σ w s⁻², with w the softmax of the scores of the row's negatives. With one
    negative and λ = 0 it is `bpr`.

    *Source:* Hidasi and Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based Recommendations",
    CIKM 2018, section 3.3.2, eqs. 6 and 7.

    Args:
        score_regularization: λ, the weight of the squared scores of negatives.
    """

    def __init__(self, reduction: Reduction = "mean", *, score_regularization: NonNegativeFloat = 1.0) -> None:
        super().__init__(reduction)
        self.score_regularization = score_regularization

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = as_rows(pos, neg)
        log_weights_BK = neg_BK.log_softmax(dim=1)
        above_B = torch.logsumexp(log_weights_BK + F.logsigmoid(pos_B1 - neg_BK), dim=1)
        squares_B = (log_weights_BK.exp() * neg_BK.square()).sum(dim=1)
        return self.reduce(self.score_regularization * squares_B - above_B)


def _top1(pos_B1: Tensor, neg_BK: Tensor) -> Tensor:
    """Return σ(s⁻ - s⁺) + σ(s⁻²) for each negative (B, K)."""
    return torch.sigmoid(neg_BK - pos_B1) + torch.sigmoid(neg_BK.square())
