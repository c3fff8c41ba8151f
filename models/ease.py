"""EASE: a linear item-to-item model with a closed-form solution.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from scipy.linalg import lapack
from scipy.sparse import csr_matrix
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.free_memory import require_memory
from recrun.errors import TrainingError
from recrun.registry import MODELS
from recrun.types import PositiveFloat

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_COPIES: Final = 2
"""Memory needed, in weight matrices: the model itself, and its checkpoint while it is being loaded."""
_BLOCK: Final = 1024
"""Rows of the matrix that are processed at once; bounds the temporary memory."""


@MODELS.register("ease")
class EASE(ClosedFormArch):
    """Predict each item from all other items by ridge regression in closed form.

    With the Gram matrix G = X'X + reg_weight * 1 and P = G^-1, the weights are B = -P / diag(P) (each column by its own
    diagonal entry), with a zero diagonal; the scores are X B. The weights take 4 I^2 bytes; fitting works in place,
    and loading a checkpoint takes as much again.

    *Source:* Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8 and algorithm 1.

    Args:
        reg_weight: the L2 regularisation lambda.
        max_memory: GB that the model may take, checked before fitting; null for the free memory.
    """

    weights: Tensor

    def __init__(
        self, data: TrainingData, *, reg_weight: PositiveFloat = 250.0, max_memory: PositiveFloat | None = None
    ) -> None:
        super().__init__()
        needed = _COPIES * 4 * data.n_items**2
        advice = "take a model with sparse weights (slim, itemknn, rp3beta), or fewer items (min_item_interactions)"
        require_memory(needed, f"ease on {data.n_items:,} items", advice, limit=max_memory)
        self.reg_weight = reg_weight
        self.rows = data.csr()
        self.register_buffer("weights", torch.zeros(data.n_items, data.n_items))

    def fit(self, data: TrainingData) -> None:
        """Invert the regularised Gram matrix and scale its columns, all in the memory of the weights.

        Raises:
            TrainingError: the matrix cannot be inverted in single precision.
        """
        if self.weights.device.type == "cpu":
            _fill_gram(self.weights, data.matrix(), self.reg_weight)
            _invert(self.weights)
        else:
            host = torch.empty(self.weights.shape)
            _fill_gram(host, data.matrix(), self.reg_weight)
            self.weights.copy_(host)
            self.weights.copy_(torch.cholesky_inverse(torch.linalg.cholesky(self.weights)))
        self.weights /= -self.weights.diagonal().clone()
        self.weights.fill_diagonal_(0)

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        indptr, items = self.rows.rows(users.cpu().numpy())
        device = self.weights.device
        # The sum of the rows of a user's items: a product of a sparse and a dense matrix.
        index, offsets = torch.from_numpy(items).long().to(device), torch.from_numpy(indptr[:-1]).to(device)
        return F.embedding_bag(index, self.weights, offsets, mode="sum")


def _fill_gram(gram: Tensor, rows: csr_matrix, reg_weight: float) -> None:
    """Write X'X + reg_weight * 1 into a tensor (I, I), block by block."""
    columns = rows.T.tocsr()
    for start in range(0, len(gram), _BLOCK):
        (columns[start : start + _BLOCK] @ rows).toarray(out=gram[start : start + _BLOCK].numpy())
    gram.diagonal().add_(reg_weight)


def _invert(matrix: Tensor) -> None:
    """Replace a symmetric positive definite matrix by its inverse.

    torch's Cholesky takes three times the memory of the matrix; LAPACK itself works in place.
    """
    transposed = matrix.numpy().T  # column by column, as LAPACK wants it; being symmetric, it is the same matrix
    _, failed = lapack.spotrf(transposed, lower=1, clean=0, overwrite_a=1)
    if not failed:
        _, failed = lapack.spotri(transposed, lower=1, overwrite_c=1)
    if failed:
        raise TrainingError("the Gram matrix cannot be inverted in single precision; raise reg_weight")
    # LAPACK's lower triangle is the upper one here, and the only one that it wrote.
    for start in range(0, len(matrix), _BLOCK):
        stop = start + _BLOCK
        matrix[stop:, start:stop] = matrix[start:stop, stop:].T
        square = matrix[start:stop, start:stop]
        square.copy_(square.triu() + square.triu(1).T)
