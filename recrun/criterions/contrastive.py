"""Contrastive losses on normalised embeddings: pull positives together, push others apart.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.registry import LOSSES
from recrun.types import NonNegativeFloat, PositiveFloat


@LOSSES.register("ccl", scores="cosine", masks=True)
class CCLLoss(BaseCriterion):
    """Pull positives to a cosine of 1 and push away negatives whose cosine exceeds a margin.

    Per row: (1 - s⁺) + w · mean max(0, s⁻ - m). Use cosines: with unbounded scores the loss has no minimum.

    *Source:* Mao, Zhu, Wang, Dai, Dong, Xiao and He, CIKM 2021 (SimpleX's cosine contrastive loss).

    Args:
        margin: m, the cosine up to which a negative adds no loss.
        negative_weight: w, the weight of the mean over negatives relative to the positive.
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


@LOSSES.register("directau")
class DirectAULoss(BaseCriterion):
    """Align each user with its positive item, and spread users and items uniformly over the unit sphere.

    Per row: |u - v|² + γ/2 · (log mean exp(-2|u - u'|²) + log mean exp(-2|v - v'|²)), with u and v scaled to length 1
    and the means over all pairs of different rows of the batch. No negatives are drawn. The length of
    a vector is not trained: if the model has a `similarity`, set it to cosine.

    *Source:* Wang, Yu, Ma, Zhang, Chen, Liu and Ma, KDD 2022 (DirectAU), section 4.

    Args:
        uniformity_weight: γ, the weight of uniformity relative to alignment.
    """

    compares_vectors = True

    def __init__(self, reduction: Reduction = "mean", *, uniformity_weight: NonNegativeFloat = 1.0) -> None:
        super().__init__(reduction)
        self.uniformity_weight = uniformity_weight

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the loss of the vectors `users` (B, D) and those of their positives `items` (B, D); terms (B,).

        A batch of one row has no pairs, so only the distance counts.
        """
        users_BD, items_BD = F.normalize(users, dim=-1), F.normalize(items, dim=-1)
        distance_B = (users_BD - items_BD).square().sum(dim=-1)
        spread = (_uniformity(users_BD) + _uniformity(items_BD)) / 2
        return self.reduce(distance_B + self.uniformity_weight * spread)


def _uniformity(directions: Tensor) -> Tensor:
    """Return log mean exp(-2|x - y|²) over the pairs of different rows of unit vectors (B, D); 0 without pairs."""
    n_rows = len(directions)
    if n_rows < 2:
        return directions.new_zeros(())
    products_BB = directions @ directions.T
    exponents_BB = (4 * products_BB - 4).masked_fill(
        torch.eye(n_rows, dtype=torch.bool, device=products_BB.device), -torch.inf
    )
    return exponents_BB.flatten().logsumexp(dim=0) - math.log(n_rows * (n_rows - 1))
