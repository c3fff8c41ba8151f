"""Softmax losses over the full catalogue or over sampled negatives.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.item_products import log_sums
from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.errors import TrainingError
from recrun.registry import LOSSES
from recrun.types import PositiveFloat


@LOSSES.register("cross_entropy")
class CrossEntropy4Logits(BaseCriterion):
    """Predict the positive among all items: cross entropy of a softmax over the catalogue.

    Per row: -s⁺ + log Σ exp(s) over every item. Models of histories compute it in pieces; others hold B x I scores and
    their gradients in memory.

    *Source:* Liang, Krishnan, Hoffman and Jebara, WWW 2018, eq. 2, for a single item of the row.
    """

    ranks_all_items = True

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `scores` (B, n) and the positive column of each row `targets` (B,) int64; terms (B,)."""
        return self.reduce(F.cross_entropy(scores, targets, reduction="none"))

    def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of `scores` (B, I) and the positive item of each row `positives` (B,) int64."""
        return self.forward(scores, positives)

    def from_products(self, states: Tensor, items: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of `states` (B, D) with `items` (I, D), of the positives (B,) int64, without B x I scores."""
        in_low_precision = torch.is_autocast_enabled(states.device.type)
        if self.reduction == "none" or in_low_precision or type(self) is not CrossEntropy4Logits:  # it may override
            return super().from_products(states, items, positives)
        total = log_sums(states, items, positives)
        return total / len(states) if self.reduction == "mean" else total

    def from_scores(self, scores: Tensor) -> Tensor:
        """Raise TrainingError: over sampled negatives this loss is `sampled_softmax`."""
        raise TrainingError("cross_entropy is over all items; for sampled negatives choose loss: sampled_softmax")


@LOSSES.register("sampled_softmax", masks=True)
class SampledSoftmax(BaseCriterion):
    """Predict the positive among sampled negatives: cross entropy of a softmax over these items.

    Per row: -s⁺/τ + log(exp(s⁺/τ) + Σ exp(s⁻/τ)). With one negative and τ = 1 this is `bpr`.

    With `logq_correction`, log(K q) is subtracted from s⁻/τ, with q the probability of the negative in one draw: the
    expected sum is then that over all items that can be negatives of the row, whatever the sampler.

    The positive is in the sum with certainty and not by a draw, so nothing is subtracted from it. Yi et al. subtract
    its log q too, as if it were drawn, so that rare positives weigh too little. Written out, the gradient here is
    1 - P(positive) times that of -s⁺/τ + log Σ exp(s⁻/τ) / q, which is the loss of Khrylchenko et al.: their weight of
    a row, which is not trained, needs no setting of its own.

    *Source:* Wu, Wang, Gao, Chen, Fu and Qiu, ACM TOIS 42(4), 2024 (the SSM loss); for the correction Bengio and
    Senécal, IEEE Transactions on Neural Networks 19(4), 2008, Jean, Cho, Memisevic and Bengio, ACL 2015, section 3, and
    Yi et al., RecSys 2019; for the positive Khrylchenko, Baikalov, Makeev, Matveev and Liamaev, RecSys 2025.

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


@LOSSES.register("bsl", min_negatives=2, scores="cosine", masks=True)
class BSLLoss(BaseCriterion):
    """Rank a user's positives, taken together, above a soft maximum of each row's negatives.

    Per row, with the first mean over the positives of the row's user in the batch, and the second over the row's
    negatives: -log mean exp(s⁺/τ⁺) + κ log mean exp(s⁻/τ).

    The paper's loss of a user is -τ⁺ log E exp(s⁺/τ⁺) + τ log E exp(s⁻/τ), with expectations over the user's positives
    and negatives. Divided by τ⁺, and with means over the batch, that is κ = τ/τ⁺, the default. A user with one positive
    in the batch has the term -s⁺/τ⁺; if all users have one, τ⁺ then scales the whole loss and changes nothing else, and
    with τ⁺ = τ it is the paper's softmax loss SL, in which the positive is not in the sum over the items.

    The authors' code (its mode "multi") has τ⁺ = τ and chooses κ: negatives have κ times the weight of positives. Its
    mode "reweight" takes each positive for itself and the sum instead of the mean over negatives, which shifts the loss
    by a constant.

    *Source:* Wu, Chen, Wu, Shi, Zhang and Wang, ICDE 2024 (BSL); κ is `temperature_2` of its authors' code.

    Args:
        temperature: τ of the negatives; the lower, the more weight on the hardest.
        positive_temperature: τ⁺ of the positives; the lower, the more weight on the best of a user's.
        negative_exponent: κ, the weight of negatives relative to positives; null for τ/τ⁺, the paper's.
    """

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        temperature: PositiveFloat = 0.1,
        positive_temperature: PositiveFloat = 0.1,
        negative_exponent: PositiveFloat | None = None,
    ) -> None:
        super().__init__(reduction)
        self.temperature = temperature
        self.positive_temperature = positive_temperature
        self.negative_exponent = temperature / positive_temperature if negative_exponent is None else negative_exponent

    def forward(self, pos: Tensor, neg: Tensor, users: Tensor | None = None) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,).

        Args:
            pos: scores of positives.
            neg: scores of negatives.
            users: the user of each row, int64 (B,); None if all are different.

        Raises:
            TrainingError: there is not one user a row.
        """
        pos_B1, neg_BK = as_rows(pos, neg)
        of_negatives_B = torch.logsumexp(neg_BK / self.temperature, dim=1) - math.log(neg_BK.size(1))
        of_positives_B = pos_B1[:, 0] / self.positive_temperature
        if users is not None:
            of_positives_B = _log_mean_exp_by_user(of_positives_B, users)
        return self.reduce(self.negative_exponent * of_negatives_B - of_positives_B)

    def from_users(self, scores: Tensor, users: Tensor) -> Tensor:
        """Return the loss of `scores` (B, 1+K), the positive first, of users (B,) who may occur more than once."""
        loss: Tensor = self(scores[:, :1], scores[:, 1:], users)
        return loss


def _log_mean_exp_by_user(values: Tensor, users: Tensor) -> Tensor:
    """Return log mean exp of the values (B,) of each row's user; users (B,) int64."""
    if users.shape != values.shape:
        raise TrainingError(f"expected a user for each of {len(values)} rows, found shape {tuple(users.shape)}")
    _, rows_B, counts_R = torch.unique(users, return_inverse=True, return_counts=True)
    largest_R = values.new_full((len(counts_R),), -torch.inf).scatter_reduce(0, rows_B, values.detach(), "amax")
    sums_R = torch.zeros_like(largest_R).index_add(0, rows_B, (values - largest_R[rows_B]).exp())
    means_R: Tensor = largest_R + (sums_R / counts_R).log()
    return means_R[rows_B]
