"""Fit the vectors of rows to fixed vectors of columns by least squares, many rows at a time.

Shapes: R rows, C columns, D embedding, B rows of a batch, L length of the longest of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recrun.threads import thread_map

if TYPE_CHECKING:
    from recrun.data.interactions import CSR

_BATCH_NUMBERS: Final = 1 << 20
"""Most numbers that the equations of a batch of rows may take on a CPU; a single row may take more."""
_TIMES_ON_DEVICES: Final = 8
"""How many times as many they may take on another device."""


class Columns(NamedTuple):
    """What all rows share: the fixed vectors of columns, in the basis in which the shared matrix is diagonal."""

    padded_CD: Tensor
    """The vectors in that basis, and below them one of zeros."""
    eigenvalues_D: Tensor
    basis_DD: Tensor
    """The eigenvectors, in columns."""

    @classmethod
    def of(cls, fixed_CD: Tensor, shared_DD: Tensor) -> Columns:
        """Return the columns with vectors h (C, D), and a positive semidefinite matrix (D, D) that all rows share."""
        # In double precision, and on the CPU, since not all devices have it.
        eigenvalues_D, basis_DD = torch.linalg.eigh(shared_DD.cpu().double())
        basis_DD = basis_DD.to(fixed_CD)
        padded_CD = torch.cat([fixed_CD @ basis_DD, fixed_CD.new_zeros(1, fixed_CD.size(1))])
        return cls(padded_CD, eigenvalues_D.clamp(min=0).to(fixed_CD), basis_DD)


@torch.no_grad()
def fit_rows(rows: CSR, columns: Columns, ridge_R: np.ndarray, weight_R: np.ndarray | None = None) -> Tensor:
    """Return the vectors w of rows that minimise the squared error of predicting 1 for the columns of each row.

    For a row with columns S, the vector solves (shared + weight Σ_{c in S} h_c h_c' + ridge 1) w = weight Σ_{c in S}
    h_c; it is 0 for a row without columns.

    With Λ the eigenvalues of the shared matrix and G (L, D) the rows sqrt(weight) h_c (Λ + ridge)^-1/2 in its basis,
    sqrt(Λ + ridge) w is sqrt(weight) times (1 + G'G)^-1 G' 1, which is also G' (1 + GG')^-1 1. The smaller of the two
    systems is solved.

    *Source:* Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, equation 4.

    Args:
        rows: the columns of each row, each once; R rows.
        columns: all columns, and the matrix that the rows share, such as the weighted Gram matrix of all columns.
        ridge_R: the weight of the squared norm of each row's vector, > 0.
        weight_R: the weight of each row's columns; 1 by default.

    Returns:
        (R, D), of the type and on the device of the columns.
    """
    fitted_RD = columns.padded_CD.new_zeros(rows.n_rows, len(columns.basis_DD))

    def fit(batch: np.ndarray) -> None:
        ridge_B = torch.from_numpy(ridge_R[batch]).to(fitted_RD)
        weight_B = None if weight_R is None else torch.from_numpy(weight_R[batch]).to(fitted_RD)
        fitted_RD[torch.from_numpy(batch).to(fitted_RD.device)] = _fit_batch(
            _members(rows, batch, len(columns.padded_CD) - 1), columns, ridge_B, weight_B
        )

    is_on_cpu = fitted_RD.device.type == "cpu"
    batches = _batches(rows.lengths, fitted_RD.size(1), _BATCH_NUMBERS * (1 if is_on_cpu else _TIMES_ON_DEVICES))
    with thread_map(torch.get_num_threads() if is_on_cpu and len(batches) > 1 else 1) as map_:
        for _ in map_(fit, batches):
            pass
    return fitted_RD @ columns.basis_DD.T


def fit_pairs(rows: CSR, columns: Columns, ridge: float) -> Tensor:
    """Return the vectors w of rows that minimise the mean of x² / 8 - x / 2 + ridge / 2 |w|² over pairs of columns.

    A pair has a column c of the row and any column e, and x = w (h_c - h_e). The vector is 0 for a row without columns.

    With m and V the mean and covariance of h over all columns, and n columns in the row, the vector solves
    (V + 1/n Σ_c (h_c - m) (h_c - m)' + 4 ridge 1) w = 2/n Σ_c (h_c - m).

    Args:
        rows: the columns of each row, each once; R rows.
        columns: all columns with the vectors h - m, and V.
        ridge: weight of the squared norm, > 0.

    Returns:
        (R, D), of the type and on the device of the columns.
    """
    return 2 * fit_rows(rows, columns, np.full(rows.n_rows, 4 * ridge), 1 / rows.lengths.clip(1))


def _fit_batch(members_BL: np.ndarray, columns: Columns, ridge_B: Tensor, weight_B: Tensor | None) -> Tensor:
    """Return the vectors (B, D) of rows with these columns, in the basis of the columns."""
    padded_CD, eigenvalues_D, _ = columns
    scale_BD = (eigenvalues_D + ridge_B[:, None]).rsqrt_()
    if weight_B is not None:
        scale_BD.mul_(weight_B.sqrt()[:, None])
    members = torch.from_numpy(members_BL).to(padded_CD.device)
    scaled_BLD = padded_CD.index_select(0, members.view(-1)).view(*members.shape, -1)
    scaled_BLD.mul_(scale_BD[:, None, :])
    if scaled_BLD.size(1) < scaled_BLD.size(2):
        rest_BL = _solved(torch.bmm(scaled_BLD, scaled_BLD.mT), scaled_BLD.new_ones(members.shape))
        fitted_BD = torch.bmm(rest_BL[:, None, :], scaled_BLD)[:, 0]
    else:
        fitted_BD = _solved(torch.bmm(scaled_BLD.mT, scaled_BLD), scaled_BLD.sum(1))
    return fitted_BD.mul_(scale_BD)


def _solved(gram_BNN: Tensor, right_BN: Tensor) -> Tensor:
    """Return the solutions (B, N) of equations whose matrices are 1 + Gram matrices, which are overwritten."""
    gram_BNN.diagonal(dim1=1, dim2=2).add_(1)
    return torch.cholesky_solve(right_BN[:, :, None], torch.linalg.cholesky(gram_BNN))[:, :, 0]


def _batches(lengths: np.ndarray, dim: int, limit: int) -> list[np.ndarray]:
    """Return batches of rows (B,) of similar lengths, the longest first; empty rows are left out.

    A batch is solved in a few calls instead of a loop over rows.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    first, stop = int(np.searchsorted(ordered, 1)), len(order)
    batches = []
    while stop > first:
        longest = int(ordered[stop - 1])
        start = max(first, stop - max(1, limit // (dim * longest + 2 * min(longest, dim) ** 2)))
        # Rows shorter than 4/5 of the longest wait for the next batch, to keep the padding small.
        start = max(start, int(np.searchsorted(ordered[:stop], 0.8 * longest)))
        batches.append(order[start:stop])
        stop = start
    return batches


def _members(rows: CSR, batch: np.ndarray, padding: int) -> np.ndarray:
    """Return the columns of rows (B,), padded with `padding`, (B, L)."""
    starts, lengths = rows.indptr[batch], rows.indptr[batch + 1] - rows.indptr[batch]
    places = np.arange(lengths.max())
    members: np.ndarray = rows.indices[np.minimum(starts[:, None] + places, len(rows.indices) - 1)]
    if lengths.min() < len(places):
        members[places >= lengths[:, None]] = padding
    return members
