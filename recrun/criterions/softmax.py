"""Softmax losses over the full catalogue or over sampled negatives.

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
    """Predict the positive among all items: cross entropy of a softmax over the catalogue.

    Per row: -s⁺ + log Σ exp(s) over every item. It holds B x I scores and their gradients in memory.

    *Source:* Liang, Krishnan, Hoffman and Jebara, WWW 2018, eq. 2, for a single item of the row.
    """

    ranks_all_items = True

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `scores` (B, n) and the positive column of each row `targets` (B,) int64; terms (B,)."""
        return self.reduce(F.cross_entropy(scores, targets, reduction="none"))

    def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of `scores` (B, I) and the positive item of each row `positives` (B,) int64."""
        return self.forward(scores, positives)

    def from_scores(self, scores: Tensor) -> Tensor:
        """Raise TrainingError: over sampled negatives this loss is `sampled_softmax`."""
        raise TrainingError("cross_entropy is over all items; for sampled negatives choose loss: sampled_softmax")


@LOSSES.register("sampled_softmax")
class SampledSoftmax(BaseCriterion):
    """Predict the positive among sampled negatives: cross entropy of a softmax over these items.

    Per row: -s⁺/τ + log(exp(s⁺/τ) + Σ exp(s⁻/τ)). With one negative and τ = 1 this is `bpr`.

    With `logq_correction`, log(K q) is subtracted from s⁻/τ, with q the probability of the negative in one draw: the
    expected sum is then that over all items the user has not interacted with, whatever the sampler. The positive is not
    drawn, so nothing is subtracted from it (Yi et al. do subtract: their positives are also drawn as negatives).

    *Source:* Wu, Wang, Gao, Chen, Fu and Qiu, ACM TOIS 42(4), 2024 (the SSM loss); for the correction Bengio and
    Senécal, IEEE Transactions on Neural Networks 19(4), 2008, and Yi et al., RecSys 2019.

    Args:
        temperature: τ, which scores are divided by; about 0.1 for cosines.
        logq_correction: correct for the probabilities with which the sampler draws the negatives.
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
            log_q: (B, K), the logarithms of their sampling probabilities; only and always with `logq_correction`.

        Raises:
            TrainingError: `log_q` is missing, or given without `logq_correction`.
        """
        if (log_q is None) == self.logq_correction:
            raise TrainingError(
                "log_q, the sampling probabilities of negatives, is needed with logq_correction and only then"
            )
        pos_B1, neg_BK = as_rows(pos, neg)
        neg_BK = neg_BK / self.temperature
        if log_q is not None:
            neg_BK = neg_BK - log_q - math.log(neg_BK.size(1))
        logits = torch.cat([pos_B1 / self.temperature, neg_BK], dim=1)
        return self.reduce(torch.logsumexp(logits, dim=1) - logits[:, 0])

    def from_corrected(self, scores: Tensor, log_q: Tensor) -> Tensor:
        """Return the loss of `scores` (B, 1+K) corrected by `log_q` (B, K), log-probabilities of the negatives."""
        loss: Tensor = self(scores[:, :1], scores[:, 1:], log_q)
        return loss


@LOSSES.register("bsl", min_negatives=2, scores="cosine")
class BSLLoss(BaseCriterion):
    """Rank each positive above a soft maximum of its negatives, with separate temperatures for the two.

    Per row: -s⁺/τ⁺ + (τ/τ⁺) log mean exp(s⁻/τ). The mean instead of the sum shifts the loss by a constant.

    *Source:* Wu, Chen, Wu, Shi, Zhang and Wang, ICDE 2024 (BSL), its pseudo-code.

    Args:
        temperature: τ of the negatives; the lower, the more weight on the hardest.
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
