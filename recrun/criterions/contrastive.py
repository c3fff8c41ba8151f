"""Losses of directions: positives together, others apart.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.registry import LOSSES
from recrun.types import NonNegativeFloat, PositiveFloat


@LOSSES.register("ccl", negatives="sampled", scores="cosine")
class CCLLoss(BaseCriterion):
    """Draw positives to a cosine of 1, and push away only those negatives that are closer than a margin.

    Per row: (1 - s⁺) + w · mean max(0, s⁻ - m). Unbounded scores would make it fall without end: use cosines.

    *Source:* Mao, Zhu, Wang, Dai, Dong, Xiao and He, CIKM 2021 (SimpleX's cosine contrastive loss).

    Args:
        margin: m, the cosine up to which a negative costs nothing.
        negative_weight: w, the weight of the negatives' mean against the positive.
    """

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        margin: NonNegativeFloat = 0.9,
        negative_weight: PositiveFloat = 150.0,
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.negative_weight = negative_weight

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = as_rows(pos, neg)
        excess_B = F.relu(neg_BK - self.margin).mean(dim=1)
        return self.reduce(1 - pos_B1[:, 0] + self.negative_weight * excess_B)
