"""Fit the vectors of rows to fixed vectors of columns by least squares, many rows at a time.

Shapes: R rows, C columns, D embedding, B rows of a batch, L length of the longest of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from recrun.data.interactions import CSR

_BATCH_NUMBERS: Final = 1 << 23
"""Most numbers that the equations of a batch of rows may take; a single row may take more."""


def fit_rows(rows: CSR, fixed_CD: Tensor, shared_DD: Tensor, ridge_R: np.ndarray) -> Tensor:
    """Return the vectors w of rows that minimise the squared error of predicting 1 for the columns of each row.

    For a row with columns S, the vector solves (shared + Σ_{c in S} h_c h_c' + ridge 1) w = Σ_{c in S} h_c; it is 0 for
    a row without columns.

    *Source:* Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, equation 4.

    Args:
        rows: the columns of each row, each once; R rows.
        fixed_CD: h, the vectors of all columns.
        shared_DD: what all rows share, such as the weighted Gram matrix of all columns.
        ridge_R: the weight of the squared norm of each row's vector, > 0.

    Returns:
        (R, D), of the type and on the device of `fixed_CD`.
    """
    fitted_RD = fixed_CD.new_zeros(rows.n_rows, fixed_CD.size(1))
    for batch, left_BDD, sums_BD in _grams(rows, fixed_CD, shared_DD):
        ridge_B1 = torch.from_numpy(ridge_R[batch]).to(left_BDD)[:, None]
        left_BDD.diagonal(dim1=1, dim2=2).add_(ridge_B1)
        fitted_RD[torch.from_numpy(batch).to(fitted_RD.device)] = _solved(left_BDD, sums_BD)
    return fitted_RD


def fit_pairs(rows: CSR, fixed_CD: Tensor, mean_D: Tensor, second_DD: Tensor, ridge: float) -> Tensor:
    """Return the vectors w of rows that minimise the mean of x² / 8 - x / 2 + ridge / 2 |w|² over pairs of columns.

    A pair has a column c of the row and any column e, and x = w (h_c - h_e). The vector is 0 for a row without columns.

    Args:
        rows: the columns of each row, each once; R rows.
        fixed_CD: h, the vectors of all columns.
        mean_D: the mean of h over all columns.
        second_DD: the mean of h h' over all columns.
        ridge: weight of the squared norm, > 0.

    Returns:
        (R, D), of the type and on the device of `fixed_CD`.
    """
    fitted_RD = fixed_CD.new_zeros(rows.n_rows, fixed_CD.size(1))
    for batch, left_BDD, sums_BD in _grams(rows, fixed_CD, torch.zeros_like(second_DD)):
        lengths_B1 = torch.from_numpy(rows.lengths[batch]).to(sums_BD)[:, None]
        own_BD = sums_BD / lengths_B1
        # The mean of (h_c - h_e) (h_c - h_e)' over the pairs of a row.
        left_BDD.div_(lengths_B1[:, :, None]).add_(second_DD)
        crossed_BDD = own_BD[:, :, None] * mean_D
        left_BDD.sub_(crossed_BDD).sub_(crossed_BDD.mT)
        left_BDD.diagonal(dim1=1, dim2=2).add_(4 * ridge)
        fitted_RD[torch.from_numpy(batch).to(fitted_RD.device)] = _solved(left_BDD, 2 * (own_BD - mean_D))
    return fitted_RD


def _grams(rows: CSR, fixed_CD: Tensor, shared_DD: Tensor) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Yield rows (B,) with shared + Σ h h' (B, D, D) and Σ h (B, D) over their columns; empty rows are left out."""
    n_columns, dim = fixed_CD.shape
    padded_CD = torch.cat([fixed_CD, fixed_CD.new_zeros(1, dim)])
    for batch, members_BL in _batches(rows, n_columns, dim):
        fixed_BLD = padded_CD[torch.from_numpy(members_BL).to(fixed_CD.device)]
        yield batch, torch.baddbmm(shared_DD, fixed_BLD.mT, fixed_BLD), fixed_BLD.sum(1)


def _solved(left_BDD: Tensor, right_BD: Tensor) -> Tensor:
    """Return the solutions (B, D) of equations with symmetric positive definite matrices."""
    factor_BDD = torch.linalg.cholesky(left_BDD)
    half_BD1 = torch.linalg.solve_triangular(factor_BDD, right_BD[:, :, None], upper=False)
    solved_BD: Tensor = torch.linalg.solve_triangular(factor_BDD.mT, half_BD1, upper=True)[:, :, 0]
    return solved_BD


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
