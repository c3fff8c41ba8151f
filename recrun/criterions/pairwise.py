"""Pairwise losses: compare each positive with each of its sampled negatives.

Letters in shapes: B rows of the batch, K sampled negatives, I items.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction, as_rows
from recrun.errors import TrainingError
from recrun.registry import LOSSES
from recrun.types import NonNegativeFloat

_EULER: Final = 0.5772156649015329


@LOSSES.register("bpr", masks=True)
class BPRLoss(BaseCriterion):
    """Rank each positive above its sampled negatives: logistic loss of the score difference.

    Per pair: -log σ(s⁺ - s⁻).

    *Source:* Rendle, Freudenthaler, Gantner and Schmidt-Thieme, UAI 2009, section 4.1 (BPR-Opt).
    """

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); a term for each element of `neg`."""
        pos_B1, neg_BK = as_rows(pos, neg)
        return self.reduce(F.softplus(neg_BK - pos_B1).view_as(neg))


@LOSSES.register("hinge", masks=True)
class HingeLoss(BaseCriterion):
    """Rank each positive above its sampled negatives by a margin: hinge loss of the score difference.

    Per pair: max(0, m - s⁺ + s⁻).

    *Source:* Joachims, KDD 2002, section 4: the slack of a pair in optimization problem 1, there with m = 1.

    Args:
        margin: m, by how much a positive must be above a negative.
    """

    def __init__(self, reduction: Reduction = "mean", *, margin: NonNegativeFloat = 1.0) -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); a term for each element of `neg`."""
        pos_B1, neg_BK = as_rows(pos, neg)
        return self.reduce(F.relu(self.margin - pos_B1 + neg_BK).view_as(neg))


@LOSSES.register("warp")
class WARPLoss(BaseCriterion):
    """Rank each positive above its sampled negatives by a margin, with more weight on positives that rank low.

    Per row: L(r) · mean over violators of (m - s⁺ + s⁻), with L(r) = 1 + 1/2 + ... + 1/r; a violator is a negative
    with s⁻ > s⁺ - m. The rank r is estimated by taking the share of violators among the K negatives as that among
    all other items: r = max(1, ⌊(I - 1) · violators / K⌋). A row without violators has loss 0.

    With `violators: hardest` only the highest scored negative counts: (m - s⁺ + max s⁻) in place of the mean. With
    `rank_weight: log` the weight is log(1 + I · violators / K). Both together are the loss of CML.

    The paper draws negatives one by one until the N-th is a violator, and takes r = ⌊(I - 1) / N⌋ and the hinge loss of
    that one. Here K negatives are drawn beforehand and all are used; with K = 1 the two agree.

    *Source:* Weston, Bengio and Usunier, IJCAI 2011 (WSABIE), section 3, with weights α_j = 1/j; the other two forms
    from Hsieh et al., WWW 2017 (CML), section 3.2, as in its authors' code.

    Args:
        margin: m, by how much a positive must be above a negative.
        rank_weight: the weight of a row, by the rank of its positive.
        violators: which violators count: their mean, or the hardest.
    """

    def __init__(
        self,
        reduction: Reduction = "mean",
        *,
        margin: NonNegativeFloat = 1.0,
        rank_weight: Literal["harmonic", "log"] = "harmonic",
        violators: Literal["mean", "hardest"] = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.rank_weight, self.violators = rank_weight, violators

    def forward(self, pos: Tensor, neg: Tensor) -> Tensor:
        """Return the loss of `pos` (B,) or (B, 1) and `neg` (B,) or (B, K); terms (B,).

        Raises:
            TrainingError: `bind` has not been called.
        """
        if self.n_items is None:
            raise TrainingError("WARPLoss needs the number of items: call bind(n_items) first")
        pos_B1, neg_BK = as_rows(pos, neg)
        excess_BK = F.relu(self.margin - pos_B1 + neg_BK)
        n_violators_B = (excess_BK > 0).sum(dim=1)
        if self.rank_weight == "log":
            weight_B = torch.log1p(self.n_items * n_violators_B.to(neg_BK.dtype) / neg_BK.size(1))
        else:
            rank_B = ((self.n_items - 1) * n_violators_B // neg_BK.size(1)).clamp(min=1)
            weight_B = torch.special.digamma(rank_B.to(neg_BK.dtype) + 1) + _EULER  # the harmonic number of the rank
        if self.violators == "hardest":
            return self.reduce(weight_B * excess_BK.amax(dim=1))
        return self.reduce(weight_B * excess_BK.sum(dim=1) / n_violators_B.clamp(min=1))
