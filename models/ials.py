"""iALS: implicit-feedback matrix factorisation by alternating least squares.

Shapes: U users, B new users, I items, D embedding, R rows that are solved for, C columns they refer to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.least_squares import Columns, fit_rows
from recrun.architectures.remembered import Remembered
from recrun.data.interactions import CSR
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("ials", new_users=True)
class IALS(ClosedFormArch):
    """Factorise the interaction matrix by alternating least squares with implicit-feedback weights.

    The loss is the sum of (w_u h_i - 1)^2 over the interactions, plus unobserved_weight times the sum of (w_u h_i)^2
    over all pairs, plus reg_weight times the sum of each embedding's squared norm, weighted by the amount of data it is
    fitted to: (n_u + unobserved_weight I)^reg_exponent for user u with n_u interactions, and likewise for items.
    Users and items are solved for exactly, in turn.

    *Source:* Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008; in the form of
    Rendle, Krichene, Zhang, Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022,
    section 3.

    Args:
        embedding_dim: length of the embeddings.
        n_iterations: number of alternations between users and items.
        unobserved_weight: weight of a pair without interaction; an interaction adds 1.
        reg_weight: the L2 regularisation lambda.
        reg_exponent: 0 regularises every embedding equally; 1 in proportion to the data it is fitted to.
        init_std: standard deviation of a score before the first iteration.
    """

    user_vectors: Tensor
    item_vectors: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_iterations: PositiveInt = 16,
        unobserved_weight: PositiveFloat = 0.02,
        reg_weight: PositiveFloat = 0.002,
        reg_exponent: NonNegativeFloat = 1.0,
        init_std: PositiveFloat = 0.1,
    ) -> None:
        super().__init__()
        self.n_iterations, self.unobserved_weight = n_iterations, unobserved_weight
        self.reg_weight, self.reg_exponent = reg_weight, reg_exponent
        self._items: Remembered[Columns] = Remembered()
        self.register_buffer("user_vectors", torch.zeros(data.n_users, embedding_dim))
        self.register_buffer("item_vectors", torch.randn(data.n_items, embedding_dim) * init_std / embedding_dim**0.5)

    def fit(self, data: TrainingData) -> None:
        """Solve for users and items in turn."""
        users = data.csr()
        n_halves = 2 * self.n_iterations
        rows, columns = users.pairs()
        items = CSR.from_pairs(columns, rows, data.n_items)
        for done in range(0, n_halves, 2):
            self.user_vectors.copy_(self._solve(users, self._columns(self.item_vectors)))
            self._report(done + 1, n_halves)
            self.item_vectors.copy_(self._solve(items, self._columns(self.user_vectors)))
            self._report(done + 2, n_halves)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items."""
        return self.user_vectors, self.item_vectors

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the embeddings (B, D) that minimise the loss of new users while those of the items are fixed."""
        items = self._items([self.item_vectors], lambda: self._columns(self.item_vectors))
        return self._solve(histories.distinct(), items)

    def _columns(self, fixed_CD: Tensor) -> Columns:
        """Return fixed embeddings (C, D) with what all rows have in common, the weighted Gram matrix (D, D) of them."""
        return Columns.of(fixed_CD, self.unobserved_weight * (fixed_CD.T @ fixed_CD))

    def _solve(self, rows: CSR, columns: Columns) -> Tensor:
        """Return the embeddings (R, D) that minimise the loss while the others are fixed; 0 for empty rows."""
        n_columns = len(columns.padded_CD) - 1
        weights_R = self.reg_weight * (rows.lengths + self.unobserved_weight * n_columns) ** self.reg_exponent
        return fit_rows(rows, columns, weights_R)
