"""EASE: a linear item-to-item model with a closed-form solution.

Shapes: B users in a batch, U users, I items, b items in a block, R rows below or columns left of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F
from scipy.sparse import csr_matrix
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.item_weights import ItemWeights
from recrun.architectures.networks import RowNetwork
from recrun.data.user_rows import bags_of
from recrun.errors import TrainingError
from recrun.memory import require_memory
from recrun.registry import MODELS
from recrun.types import PositiveFloat

if TYPE_CHECKING:
    from collections.abc import Callable

    from recrun.data.interactions import CSR, TrainingData

_BLOCK: Final = 512
"""Rows of the matrix that are processed at once; bounds the temporary memory."""


@MODELS.register("ease", new_users=True)
class EASE(ClosedFormArch):
    """Predict each item from all other items by ridge regression in closed form.

    With the Gram matrix G = X'X + reg_weight * 1 and P = G^-1, the weights are B = -P / diag(P) (each column by its own
    diagonal entry), with a zero diagonal; the scores are X B. The weights take 4 I^2 bytes. Fitting works in place in
    single precision; loading a checkpoint takes as much again.

    *Source:* Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8 and algorithm 1.

    Args:
        reg_weight: the L2 regularisation lambda.
        max_memory: GB that the weights may take, checked before fitting; null for the free memory.
    """

    weights: Tensor

    def __init__(
        self, data: TrainingData, *, reg_weight: PositiveFloat = 250.0, max_memory: PositiveFloat | None = None
    ) -> None:
        super().__init__()
        needed = 4 * data.n_items**2
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
        _fill_gram(self.weights, data.matrix(), self.reg_weight)
        _invert(self.weights, self.progress)
        self.weights /= -self.weights.diagonal().clone()
        self.weights.fill_diagonal_(0)

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self.score_histories(self.rows.take(users.cpu().numpy()))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        # The sum of the rows of a user's items: a product of a sparse and a dense matrix.
        items_N, starts_B = bags_of(histories.distinct(), self.weights.device)
        return F.embedding_bag(items_N, self.weights, starts_B, mode="sum")

    def score_rows(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I)."""
        return rows @ self.weights

    def network(self) -> RowNetwork:
        """Return the model as a network that scores items for rows."""
        return RowNetwork(self)

    def item_weights(self) -> ItemWeights:
        """Return the weights, from a user's items (rows) to the scored items (columns)."""
        return ItemWeights(self.weights.cpu().numpy())


def _fill_gram(gram: Tensor, rows: csr_matrix, reg_weight: float) -> None:
    """Write X'X + reg_weight * 1 into a tensor (I, I), block by block."""
    columns = rows.T.tocsr()
    for start in range(0, len(gram), _BLOCK):
        block = (columns[start : start + _BLOCK] @ rows).toarray()
        gram[start : start + _BLOCK].copy_(torch.from_numpy(block))
    gram.diagonal().add_(reg_weight)


def _invert(matrix: Tensor, progress: Callable[[int, int], None] | None) -> None:
    """Replace a symmetric positive definite matrix (I, I) by its inverse, in place.

    By blocks of b rows: the Cholesky factor L, L^-1 and (L^-1)' L^-1, each in the lower triangle. torch's own inverse
    takes three times the memory of the matrix, and LAPACK's in OpenBLAS crashes on 40,981 rows if it has two threads.
    """
    n_items = len(matrix)
    blocks = [slice(start, min(start + _BLOCK, n_items)) for start in range(0, n_items, _BLOCK)]
    for phase, step in enumerate((_factor, _invert_triangle, _square)):
        for done, own in enumerate(blocks, 1):
            step(matrix, own)
            if progress is not None:
                progress(phase * len(blocks) + done, 3 * len(blocks))
    for own in blocks:
        matrix[own, own.stop :] = matrix[own.stop :, own].T


def _factor(matrix: Tensor, own: slice) -> None:
    """Write the columns `own` of L, and subtract their products from what is right of them."""
    factor_bb, failed = torch.linalg.cholesky_ex(matrix[own, own])
    if failed:
        raise TrainingError("the Gram matrix cannot be inverted in single precision; raise reg_weight")
    matrix[own, own] = factor_bb
    rest = matrix[own.stop :, own.stop :]
    below_Rb = torch.linalg.solve_triangular(factor_bb.T, matrix[own.stop :, own], upper=True, left=False)
    matrix[own.stop :, own] = below_Rb
    for start in range(0, len(rest), _BLOCK):
        stop = start + _BLOCK
        rest[start:stop, :stop].addmm_(below_Rb[start:stop], below_Rb[:stop].T, alpha=-1)


def _invert_triangle(matrix: Tensor, own: slice) -> None:
    """Replace the rows `own` of L by those of L^-1; the rows above are done."""
    factor_bb = matrix[own, own]
    inverse_bb = torch.linalg.solve_triangular(factor_bb, torch.eye(len(factor_bb)).to(matrix), upper=False)
    left_bR = torch.empty_like(matrix[own, : own.start])
    for start in range(0, own.start, _BLOCK):
        other = slice(start, start + _BLOCK)
        left_bR[:, other] = matrix[own, start : own.start] @ matrix[start : own.start, other]
    matrix[own, : own.start] = -(inverse_bb @ left_bR)
    matrix[own, own] = inverse_bb


def _square(matrix: Tensor, own: slice) -> None:
    """Replace the rows `own` of L^-1 by those of the inverse, up to the diagonal; the rows below are not done yet."""
    matrix[own, : own.stop] = matrix[own.start :, own].T @ matrix[own.start :, : own.stop]
