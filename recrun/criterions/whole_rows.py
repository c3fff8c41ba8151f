"""Losses over users' whole rows: all items of the catalogue take part, and no negatives are drawn.

Letters in shapes: B users of the batch, I items, N items of all their rows together, D embedding.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from recrun.criterions.base import BaseCriterion, Reduction
from recrun.registry import LOSSES
from recrun.types import PositiveFloat


@LOSSES.register("multinomial", trains_on="users")
class MultinomialLoss(BaseCriterion):
    """Maximise the multinomial log-likelihood of each user's items under a softmax over the catalogue.

    Per user: -Σ log softmax(s)_i over the items i of the user.

    *Source:* Liang, Krishnan, Hoffman and Jebara, WWW 2018, eq. 2.
    """

    def forward(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of `scores` (B, I) against `rows` (B, I), 1 for the user's items; terms (B,)."""
        return self.reduce(-(F.log_softmax(scores, dim=1) * rows).sum(dim=1))

    def from_rows(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Return the loss, as `forward` does."""
        return self.forward(scores, rows)


@LOSSES.register("row_mse", trains_on="users")
class RowMSELoss(BaseCriterion):
    """Predict 1 for a user's items and 0 for all others: squared error, averaged over the catalogue.

    Per user: the mean of (s - x)² over all items, with x their row of zeros and ones.

    *Source:* Wang, Xu, Feng, Lin, He and Chua, SIGIR 2023 (DiffRec), section 3, divided by the number of items.
    """

    def forward(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Return the loss of `scores` (B, I) against `rows` (B, I), 1 for the user's items; terms (B,)."""
        return self.reduce((scores - rows).square().mean(dim=1))

    def from_rows(self, scores: Tensor, rows: Tensor) -> Tensor:
        """Return the loss, as `forward` does."""
        return self.forward(scores, rows)


@LOSSES.register("whole_data", trains_on="users")
class WholeDataLoss(BaseCriterion):
    """Predict 1 for a user's items and 0, with a lower weight, for all others: weighted squared error.

    Per user: Σ (1 - s)² over the user's items + Σ c s² over the others. With s = u·v the sum of c s² over all items is
    u'(V'CV)u with C the diagonal matrix of the weights c, so nothing of size B x I is computed. All c are c₀, unless
    the model has a weight for each item (`weight_exponent` of enmf).

    *Source:* Chen, Zhang, Zhang, Liu and Ma, ACM TOIS 38(2), 2020 (ENMF), section 4, with the constant that the paper
    leaves out.

    Args:
        negative_weight: c₀, the weight of an item that the user has not interacted with; the mean of the items' weights
            if they differ.
    """

    compares_vectors = True

    def __init__(self, reduction: Reduction = "mean", *, negative_weight: PositiveFloat = 0.05) -> None:
        super().__init__(reduction)
        self.negative_weight = negative_weight

    def forward(
        self, users: Tensor, items: Tensor, places: Tensor, positives: Tensor, factors: Tensor | None = None
    ) -> Tensor:
        """Return the loss of the vectors `users` (B, D) and `items` (I, D); terms (B,).

        Args:
            users: vectors of the batch's users.
            items: vectors of all items.
            places: the row of `users` that each item belongs to, int64 (N,).
            positives: the items, int64 (N,).
            factors: the weights of items as multiples of c₀ (I,), where they differ.
        """
        scores_N = (users[places] * items[positives]).sum(dim=1)
        weighted_ID = items if factors is None else factors[:, None] * items
        squares_B = ((users @ (items.T @ weighted_ID)) * users).sum(dim=1)
        taken_N = scores_N.square() if factors is None else factors[positives] * scores_N.square()
        of_positives_N = (1 - scores_N).square() - self.negative_weight * taken_N
        terms_B = (self.negative_weight * squares_B).index_add(0, places, of_positives_N)
        return self.reduce(terms_B)
