"""An item-to-item linear model with a closed-form solution.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recrun.architectures import ClosedFormArch
from recrun.registry import MODELS
from recrun.types import PositiveFloat

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("ease")
class EASE(ClosedFormArch):
    """Reconstruct each user's row from the other items by ridge regression with a zero diagonal.

    With the Gram matrix G = X'X + reg_weight * 1 and P = G^-1, the weights are B = -P / diag(P) (each column by its own
    diagonal entry), with a zero diagonal; the scores are X B.

    *Source:* Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8 and algorithm 1.

    Args:
        reg_weight: the L2 regularisation lambda.
    """

    weights: Tensor

    def __init__(self, data: TrainingData, *, reg_weight: PositiveFloat = 250.0) -> None:
        super().__init__()
        self.reg_weight = reg_weight
        self.rows = data.matrix()
        self.register_buffer("weights", torch.zeros(data.n_items, data.n_items))

    def fit(self, data: TrainingData) -> None:
        """Invert the regularised Gram matrix and scale its columns."""
        rows = data.matrix()
        gram = torch.from_numpy((rows.T @ rows).toarray())
        gram.diagonal().add_(self.reg_weight)
        # The Gram matrix is symmetric and positive definite: Cholesky takes half the work of a general inverse.
        precision = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        precision /= -precision.diagonal().clone()
        precision.fill_diagonal_(0)
        self.weights.copy_(precision)

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        rows = torch.from_numpy(self.rows[users.cpu().numpy()].toarray())
        return rows.to(self.weights.device) @ self.weights
