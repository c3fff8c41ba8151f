"""Losses: what a model's scores are worth, chosen by name and independent of the model.

Every loss has its natural call, for scripts, and a door through which the built-in training loop calls it:
`from_scores` where negatives are sampled, `from_all` where every item is scored. Its traits tell the config layer what
it needs before torch is imported: `negatives` is "sampled" or "none", `min_negatives` the fewest sampled negatives that
make sense (1 unless given), and `scores="cosine"` marks a loss that needs scores bounded by [-1, 1].

Letters in shapes: B rows of the batch (users, or positions of sequences), K sampled negatives, I items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.errors import ConfigError, Fault, TrainingError, nearest
from recrun.registry import LOSSES
from recrun.types import NonNegativeFloat, PositiveFloat, UnitInterval

Reduction = Literal["mean", "sum", "none"]
_REDUCTIONS = ("mean", "sum", "none")


class BaseCriterion(nn.Module):
    """Hold what all losses share: the reduction, the doors of the training loop, and plain regularisation.

    A loss is one decorated subclass whose `forward` returns `self.reduce(terms)`. One called as `forward(pos, neg)`
    needs no more; one called as `forward(preds, targets)` sets `pointwise = True`; one over all items sets
    `ranks_all_items = True` and overrides `from_all`.

    Args:
        reduction: "mean" or "sum" of the loss's terms, or "none" to return them as they are.

    Raises:
        ConfigError: the reduction is not one of the three.
    """

    pointwise = False
    ranks_all_items = False

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in _REDUCTIONS:
            guess = nearest(str(reduction), _REDUCTIONS)
            message = f"expected one of {', '.join(_REDUCTIONS)}, found {reduction!r}"
            raise ConfigError(Fault(message, key="reduction", suggestion=guess))
        self.reduction = reduction
        self.n_items: int | None = None

    def bind(self, n_items: int) -> None:
        """Take note of how many items there are, once, before training: some losses depend on it."""
        self.n_items = n_items

    def from_scores(self, scores: Tensor) -> Tensor:
        """Return the loss of rows that hold a positive and its sampled negatives.

        Args:
            scores: (B, 1+K) floating; column 0 is the positive. To a pointwise loss its target is 1, the others' 0.

        Raises:
            TrainingError: the loss is not one over sampled negatives, or there are none.
        """
        if self.pointwise:
            targets = torch.zeros_like(scores)
            targets[:, 0] = 1
            loss: Tensor = self(scores, targets)
        else:
            loss = self(scores[:, :1], scores[:, 1:])
        return loss

    def from_all(self, scores: Tensor, positives: Tensor) -> Tensor:
        """Return the loss of rows that hold the scores of every item.

        Args:
            scores: (B, I) floating.
            positives: (B,) int64, the right item of each row.

        Raises:
            TrainingError: the loss is one over sampled negatives.
        """
        raise TrainingError(f"{type(self).__name__} compares positives with sampled negatives, not with all items")

    def reduce(self, terms: Tensor) -> Tensor:
        """Return the mean or the sum of `terms`, or `terms` itself, as `reduction` says."""
        if self.reduction == "mean":
            return terms.mean()
        return terms.sum() if self.reduction == "sum" else terms

    @staticmethod
    def regularize(params: Tensor | Iterable[Tensor], rtype: Literal["l1", "l2"] = "l2") -> Tensor:
        """Return the penalty of parameters: the sum of |x| ("l1"), or half the sum of x² ("l2").

        The batch's size is not divided out. Without any parameter the penalty is 0.

        Raises:
            ConfigError: `rtype` is neither.

        >>> BaseCriterion.regularize(torch.tensor([3.0, -4.0])).item()
        12.5
        """
        if rtype not in ("l1", "l2"):
            raise ConfigError(f"rtype must be 'l1' or 'l2', found {rtype!r}")
        tensors = [params] if isinstance(params, Tensor) else list(params)
        parts = [tensor.abs().sum() if rtype == "l1" else tensor.square().sum() / 2 for tensor in tensors]
        return torch.stack(parts).sum() if parts else torch.zeros(())


@LOSSES.register("bpr", negatives="sampled")
class BPRLoss(BaseCriterion):
    """Rank each positive above its sampled negatives, as a logistic loss of the score difference.

    Per pair: -log σ(s⁺ - s⁻).

    *Source:* Rendle, Freudenthaler, Gantner and Schmidt-Thieme, UAI 2009, section 4.1 (BPR-Opt).
    """

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); a term for each element of `neg`."""
        pos_B1, neg_BK = _rows(pos, neg)
        return self.reduce(F.softplus(neg_BK - pos_B1).view_as(neg))


@LOSSES.register("bce", negatives="sampled")
class BCELoss4Logits(BaseCriterion):
    """Tell positives from negatives one by one: binary cross entropy of logits.

    Per score: -y log σ(s) - (1 - y) log(1 - σ(s)).

    *Source:* He, Liao, Zhang, Nie, Hu and Chua, WWW 2017, eq. 7.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of logits `preds` against `targets` in [0, 1], both of one shape."""
        _require_one_shape(preds, targets)
        return self.reduce(F.binary_cross_entropy_with_logits(preds, targets.to(preds.dtype), reduction="none"))


@LOSSES.register("gbce", negatives="sampled")
class GBCELoss(BaseCriterion):
    """Tell positives from negatives, with the overconfidence that sampling brings taken back.

    Per row: -(β log σ(s⁺) + Σ log(1 - σ(s⁻))) / (K + 1), with the sampling rate α = K / (n_items - 1) and
    β = α (t (1 - 1/α) + 1/α). With t = 0 this is `bce`; with t = 1 probabilities are those of
    training without sampling.

    *Source:* Petrov and Macdonald, RecSys 2023 (gSASRec), section 5.

    Args:
        calibration: t, how much of the overconfidence is taken back.
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
        pos_B1, neg_BK = _rows(pos, neg)
        rate = neg_BK.size(1) / (self.n_items - 1)
        beta = self.calibration * (rate - 1) + 1
        return self.reduce(torch.cat([beta * F.softplus(-pos_B1), F.softplus(neg_BK)], dim=1))


@LOSSES.register("mse", negatives="sampled")
class MSELoss(BaseCriterion):
    """Predict values: the squared error; of sampled rows, 1 for the positive and 0 for negatives.

    Per score: (s - y)².

    *Source:* Koren, Bell and Volinsky, IEEE Computer 42(8), 2009, eq. 2, without its regularisation.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `preds` against `targets`, both of one shape."""
        _require_one_shape(preds, targets)
        return self.reduce((preds - targets.to(preds.dtype)).square())


@LOSSES.register("l1", negatives="sampled")
class L1Loss(BaseCriterion):
    """Predict values: the absolute error; of sampled rows, 1 for the positive and 0 for negatives.

    Per score: |s - y|, with gradient 0 where the two are equal.

    *Source:* least absolute deviations, textbook definition.
    """

    pointwise = True

    def forward(self, preds: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of `preds` against `targets`, both of one shape."""
        _require_one_shape(preds, targets)
        return self.reduce((preds - targets.to(preds.dtype)).abs())


@LOSSES.register("cross_entropy", negatives="none")
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


@LOSSES.register("sampled_softmax", negatives="sampled")
class SampledSoftmax(BaseCriterion):
    """Pick the positive among itself and its sampled negatives: cross entropy of their softmax.

    Per row: -s⁺/τ + log(exp(s⁺/τ) + Σ exp(s⁻/τ)). With one negative and τ = 1 this is `bpr`. The sampling probabilities
    are not corrected for: subtract their logarithms from the scores where they differ between items.

    *Source:* Wu, Wang, Gao, Chen, Fu and Qiu, ACM TOIS 42(4), 2024 (the SSM loss).

    Args:
        temperature: τ, what scores are divided by; some 0.1 for cosines.
    """

    def __init__(self, reduction: Reduction = "mean", *, temperature: PositiveFloat = 1.0) -> None:
        super().__init__(reduction)
        self.temperature = temperature

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,)."""
        pos_B1, neg_BK = _rows(pos, neg)
        logits = torch.cat([pos_B1, neg_BK], dim=1) / self.temperature
        return self.reduce(torch.logsumexp(logits, dim=1) - logits[:, 0])


@LOSSES.register("bsl", negatives="sampled", min_negatives=2, scores="cosine")
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
        pos_B1, neg_BK = _rows(pos, neg)
        hardest_B = self.temperature * (torch.logsumexp(neg_BK / self.temperature, dim=1) - math.log(neg_BK.size(1)))
        return self.reduce((hardest_B - pos_B1[:, 0]) / self.positive_temperature)


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
        pos_B1, neg_BK = _rows(pos, neg)
        excess_B = F.relu(neg_BK - self.margin).mean(dim=1)
        return self.reduce(1 - pos_B1[:, 0] + self.negative_weight * excess_B)


def _rows(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    """Return positives as (B, 1) and negatives as (B, K): two vectors must never spread to B x B pairs."""
    pos_B1, neg_BK = pos.reshape(-1, 1), neg.unsqueeze(1) if neg.dim() == 1 else neg
    if neg_BK.dim() != 2 or neg_BK.size(1) < 1 or pos_B1.size(0) != neg_BK.size(0):
        found = f"{tuple(pos.shape)} and {tuple(neg.shape)}"
        raise TrainingError(f"expected positives (B,) or (B, 1) and negatives (B,) or (B, K), K >= 1, found {found}")
    return pos_B1, neg_BK


def _require_one_shape(preds: Tensor, targets: Tensor) -> None:
    if preds.shape != targets.shape:
        raise TrainingError(f"predictions {tuple(preds.shape)} and targets {tuple(targets.shape)} differ in shape")
