"""iALS: implicit-feedback matrix factorisation by alternating least squares.

Shapes: U users, I items, D embedding, R rows that are solved for, C columns they refer to, B rows of a batch, L length
of the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.data.interactions import CSR
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

_BATCH_NUMBERS: Final = 1 << 23
"""Most numbers that the equations of a batch of rows may take; a single row may take more."""


@MODELS.register("ials")
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
        self.register_buffer("user_vectors", torch.zeros(data.n_users, embedding_dim))
        self.register_buffer("item_vectors", torch.randn(data.n_items, embedding_dim) * init_std / embedding_dim**0.5)

    def fit(self, data: TrainingData) -> None:
        """Solve for users and items in turn."""
        users = data.csr()
        n_halves = 2 * self.n_iterations
        rows, columns = users.pairs()
        items = CSR.from_pairs(columns, rows, data.n_items)
        for done in range(0, n_halves, 2):
            self._solve(users, self.item_vectors, self.user_vectors)
            self._report(done + 1, n_halves)
            self._solve(items, self.user_vectors, self.item_vectors)
            self._report(done + 2, n_halves)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items."""
        return self.user_vectors, self.item_vectors

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total)

    def _solve(self, rows: CSR, fixed_CD: Tensor, solved_RD: Tensor) -> None:
        """Set the embeddings that minimise the loss while the others are fixed."""
        n_columns, dim = fixed_CD.shape
        shared_DD = self.unobserved_weight * (fixed_CD.T @ fixed_CD)
        weights_R = self.reg_weight * (rows.lengths + self.unobserved_weight * n_columns) ** self.reg_exponent
        padded_CD = torch.cat([fixed_CD, fixed_CD.new_zeros(1, dim)])
        solved_RD.zero_()  # for rows without interactions
        for batch, members_BL in _batches(rows, n_columns, dim):
            index = torch.from_numpy(batch).to(fixed_CD.device)
            fixed_BLD = padded_CD[torch.from_numpy(members_BL).to(fixed_CD.device)]
            left_BDD = torch.baddbmm(shared_DD, fixed_BLD.mT, fixed_BLD)
            ridge_B1 = torch.from_numpy(weights_R[batch]).to(left_BDD)[:, None]
            left_BDD.diagonal(dim1=1, dim2=2).add_(ridge_B1)
            factor_BDD = torch.linalg.cholesky(left_BDD)
            half_BD1 = torch.linalg.solve_triangular(factor_BDD, fixed_BLD.sum(1)[:, :, None], upper=False)
            solved_RD[index] = torch.linalg.solve_triangular(factor_BDD.mT, half_BD1, upper=True)[:, :, 0]


def _batches(rows: CSR, padding: int, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows (B,) of similar lengths with their columns (B, L), padded with `padding`; empty rows are left out.

    A batch is solved in a few calls instead of a loop over rows.
    """
    lengths = rows.lengths
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    stop = len(order)
    while stop:
        longest = int(lengths[order[stop - 1]])
        start = max(0, stop - max(1, _BATCH_NUMBERS // (dim * (longest + 2 * dim))))
        # Rows shorter than 4/5 of the longest wait for the next batch, to keep the padding small.
        start = max(start, int(np.searchsorted(lengths[order[:stop]], 0.8 * longest)))
        batch = order[start:stop]
        indptr, columns = rows.rows(batch)
        members = np.full((len(batch), longest), padding, dtype=np.int64)
        members[np.arange(longest) < np.diff(indptr)[:, None]] = columns
        yield batch, members
        stop = start
