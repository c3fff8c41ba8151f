"""Losses of a softmax: the positive against all items, or against its sampled negatives together.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.errors import TrainingError
from recrun.registry import LOSSES
from recrun.types import PositiveFloat


@LOSSES.register("cross_entropy")
class CrossEntropy4Logits(BaseCriterion):
    """Pick the right item among all: cross entropy of the softmax over the catalogue.

    Per row: -s⁺ + log Σ exp(s) over every item. Memory is B x I scores and their gradients.

    *Source:* Liang, Krishnan, Hoffman and Jebara, WWW 2018, eq. 2, for one item of the row.
    """

    ranks_all_items = True

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `scores` (B, n) with the right column of each row in `targets` (B,) int64; terms (B,)."""
        return self.reduce(F.cross_entropy(scores, targets, reduction="none"))

    def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of `scores` (B, I) with the right item of each row in `positives` (B,) int64."""
        return self.forward(scores, positives)

    def from_scores(self, scores: Tensor) -> Tensor:
        """Refuse: over sampled negatives this is another loss."""
        raise TrainingError("cross_entropy is over all items; over sampled negatives choose loss: sampled_softmax")


@LOSSES.register("sampled_softmax")
class SampledSoftmax(BaseCriterion):
    """Pick the positive among itself and its sampled negatives: cross entropy of their softmax.

    Per row: -s⁺/τ + log(exp(s⁺/τ) + Σ exp(s⁻/τ)). With one negative and τ = 1 this is `bpr`.

    With `logq_correction`, log(K q) is subtracted from s⁻/τ, with q the chance of the negative in one draw: the sum is
    then the expectation of that over all items which the user has not, whatever the sampler. The positive is not drawn,
    so nothing is subtracted from it (Yi et al. do so, whose positives are among their negatives).

    *Source:* Wu, Wang, Gao, Chen, Fu and Qiu, ACM TOIS 42(4), 2024 (the SSM loss); for the correction Bengio and
    Senécal, IEEE Transactions on Neural Networks 19(4), 2008, and Yi et al., RecSys 2019.

    Args:
        temperature: τ, what scores are divided by; some 0.1 for cosines.
        logq_correction: weigh negatives by the chances with which the sampler draws them.
    """

    def __init__(
        self, reduction: Reduction = "mean", *, temperature: PositiveFloat = 1.0, logq_correction: bool = False
    ) -> None:
        super().__init__(reduction)
        self.temperature = temperature
        self.logq_correction = logq_correction

    def forward(self, pos: Tensor, neg: Tensor, log_q: Tensor | None = None) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,).

        Args:
            pos: scores of positives.
            neg: scores of negatives.
            log_q: (B, K), the logarithms of their chances; needed for the correction, and without it not taken.

        Raises:
            TrainingError: chances are missing, or given without `logq_correction`.
        """
        if (log_q is None) == self.logq_correction:
            raise TrainingError("logq_correction needs the chances of the negatives, and nothing else takes them")
        pos_B1, neg_BK = as_rows(pos, neg)
        neg_BK = neg_BK / self.temperature
        if log_q is not None:
            neg_BK = neg_BK - log_q - math.log(neg_BK.size(1))
        logits = torch.cat([pos_B1 / self.temperature, neg_BK], dim=1)
        return self.reduce(torch.logsumexp(logits, dim=1) - logits[:, 0])

    def from_corrected(self, scores: Tensor, log_q: Tensor) -> Tensor:
        """Return the loss of `scores` (B, 1+K) with the chances of the negatives `log_q` (B, K)."""
        loss: Tensor = self(scores[:, :1], scores[:, 1:], log_q)
        return loss


@LOSSES.register("bsl", min_negatives=2, scores="cosine")
class BSLLoss(BaseCriterion):
    """Set the positive against a soft maximum of its negatives, with a temperature for each side.

    Per row: -s⁺/τ⁺ + (τ/τ⁺) log mean exp(s⁻/τ). The mean in place of the sum shifts the loss by a constant.

    *Source:* Wu, Chen, Wu, Shi, Zhang and Wang, ICDE 2024 (BSL), its pseudo-code.

    Args:
        temperature: τ of the negatives; the lower, the more the hardest of them count.
        positive_temperature: τ⁺ of the positives.
    """

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        temperature: PositiveFloat = 0.1,
        positive_temperature: PositiveFloat = 0.1,
    ) -> None:
        super().__init__(reduction)
        self.temperature = temperature
        self.positive_temperature = positive_temperature

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = as_rows(pos, neg)
        hardest_B = self.temperature * (torch.logsumexp(neg_BK / self.temperature, dim=1) - math.log(neg_BK.size(1)))
        return self.reduce((hardest_B - pos_B1[:, 0]) / self.positive_temperature)
