"""Sparse matrices for closed-form models: as state, in products, factorised, and cut to their largest entries.

Shapes: R rows, C columns, F columns of the left factor of a product, B rows in a block, K entries kept of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import linalg
from torch import Tensor, nn

from recrun.errors import ConfigError, Fault, TrainingError
from recrun.randomness import generator
from recrun.threads import thread_map

if TYPE_CHECKING:
    from recrun.data.interactions import CSR

Progress = Callable[[int, int], None]
"""Called with (done, total) from time to time."""

_BLOCK_ENTRIES: Final = 1 << 22
"""The most entries in a block of a product that is made dense: about 64 MB with the indices."""
_INFINITY: Final = int(np.float32(np.inf).view(np.int32))
_CUT_ENTRIES: Final = 1 << 21
"""The most entries in a block of a product whose rows are cut; up to four threads hold as many each."""


class SparseMatrix(nn.Module):
    """A sparse matrix (R, C) that is part of a model's state; empty until it is set.

    The number of entries is only known after fitting, so a loaded state may have any number of them.

    Args:
        n_rows: R.
        n_columns: C.

    Attributes:
        indptr: the start of each row and the end of the last, int64 (R + 1,).
        indices: the columns of the entries, row by row, int32.
        values: the entries, float32.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor

    def __init__(self, n_rows: int, n_columns: int) -> None:
        super().__init__()
        self.shape = (n_rows, n_columns)
        self.register_buffer("indptr", torch.zeros(n_rows + 1, dtype=torch.int64))
        self.register_buffer("indices", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(0))

    def set(self, matrix: sparse.csr_matrix) -> None:
        """Set the entries to those of a scipy matrix of the same shape."""
        if matrix.shape != self.shape:
            raise ValueError(f"expected a matrix of shape {self.shape}, found {matrix.shape}")
        device = self.indptr.device
        self.indptr = torch.from_numpy(matrix.indptr.astype(np.int64)).to(device)
        self.indices = torch.from_numpy(matrix.indices.astype(np.int32)).to(device)
        self.values = torch.from_numpy(matrix.data.astype(np.float32)).to(device)

    def to_scipy(self) -> sparse.csr_matrix:
        """Return a scipy matrix, which shares memory with this one if it is on the CPU."""
        parts = (self.values.cpu().numpy(), self.indices.cpu().numpy(), self.indptr.cpu().numpy())
        return sparse.csr_matrix(parts, shape=self.shape)

    def sum_rows(self, bags: CSR) -> Tensor:
        """Return the sum (B, C) of the rows that each bag names, in the order in which it names them."""
        sums = dense_product(bags.to_scipy(self.shape[0]), self.to_scipy())
        return torch.from_numpy(sums).to(self.indptr.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        parts = [state_dict.get(prefix + name) for name in ("indptr", "indices", "values")]
        if all(isinstance(part, Tensor) for part in parts):
            fault = self._fault(*cast(list[Tensor], parts))
            if fault:
                args[-1].append(f"{prefix.rstrip('.')} is not a matrix of shape {self.shape}: {fault}")
                return
            self.indices = self.indices.new_empty(cast(Tensor, parts[1]).shape)
            self.values = self.values.new_empty(cast(Tensor, parts[2]).shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _fault(self, indptr: Tensor, indices: Tensor, values: Tensor) -> str | None:
        """Return what is wrong with a state; with a damaged one scipy would read outside the arrays."""
        if indptr.shape != (self.shape[0] + 1,) or indices.ndim != 1 or indices.shape != values.shape:
            return "its arrays have the wrong lengths"
        if indptr[0] != 0 or indptr[-1] != len(indices) or bool((indptr.diff() < 0).any()):
            return "its row boundaries (indptr) do not ascend from 0 to the number of entries"
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < self.shape[1]:
            return "its column indices are out of range"
        return None


def dense_product(left: sparse.csr_matrix, right: sparse.csr_matrix) -> np.ndarray:
    """Return the product (B, C) of sparse matrices (B, F) and (F, C) as a dense array of the factors' dtype.

    Besides the result it needs memory for only a few of its rows.
    """
    result = np.empty((left.shape[0], right.shape[1]), dtype=np.result_type(left.dtype, right.dtype))
    step = max(1, _BLOCK_ENTRIES // max(1, right.shape[1]))
    for start in range(0, len(result), step):
        (left[start : start + step] @ right).toarray(out=result[start : start + step])
    return result


def largest_per_row(matrix: sparse.csr_matrix, n_kept: int) -> sparse.csr_matrix:
    """Return the matrix with only the K = `n_kept` largest entries of each row, and only those above 0.

    Of equal entries those in lower columns are kept. Columns ascend in each row.

    Args:
        matrix: float32 (B, C).
        n_kept: K; a row with fewer entries above 0 keeps all of these.
    """
    lengths, n_rows = np.diff(matrix.indptr), matrix.shape[0]
    # The bits of positive floats sort like the floats, and integers are partitioned faster.
    bits = matrix.data.astype(np.float32, copy=False).view(np.int32)
    if len(bits) and bits.max() > _INFINITY:
        bits = np.where(matrix.data > 0, bits, 0)  # without NaN
    least_R, parted, cut_R = np.ones(n_rows, dtype=np.int32), bits.copy(), lengths > n_kept
    for start, length in zip(matrix.indptr[:-1][cut_R].tolist(), lengths[cut_R].tolist(), strict=True):
        parted[start : start + length].partition(length - n_kept)
    least_R[cut_R] = np.maximum(1, parted[matrix.indptr[1:][cut_R] - n_kept])
    places = np.flatnonzero(bits >= np.repeat(least_R, lengths))
    indptr = np.searchsorted(places, matrix.indptr)
    kept = sparse.csr_matrix((bits[places].view(np.float32), matrix.indices[places], indptr), shape=matrix.shape)
    kept = kept.tocsc().tocsr()  # orders the columns of each row
    counts = np.diff(kept.indptr)
    if (counts > n_kept).any():
        # There are too many entries equal to the least one: those in the last columns are left out.
        is_least = kept.data == np.repeat(least_R.view(np.float32), counts)
        n_before = np.concatenate(([0], np.cumsum(is_least)))
        n_left_R = n_kept - counts + n_before[kept.indptr[1:]]
        kept.data[is_least & (n_before[1:] > np.repeat(n_left_R, counts))] = 0
        kept.eliminate_zeros()
    return kept


def largest_of_product(
    left: sparse.csr_matrix,
    right: sparse.csr_matrix,
    n_kept: int,
    *,
    weigh: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None,
    without_diagonal: bool = True,
    progress: Progress | None = None,
) -> sparse.csr_matrix:
    """Return the largest entries of each row of a product (R, C), without ever holding all of it in memory.

    Args:
        left: float32 (R, F).
        right: float32 (F, C).
        n_kept: how many entries of each row are kept; see `largest_per_row`.
        weigh: computes the entries from the products, their rows and their columns, each (n,); None for the products
            themselves.
        without_diagonal: leave out the entries on the diagonal.
        progress: called with the number of rows done and R.
    """
    n_rows = left.shape[0]
    ones = sparse.csr_matrix((np.ones(left.nnz), left.indices, left.indptr), shape=left.shape)
    n_paths = np.minimum(ones @ np.diff(right.indptr), right.shape[1])

    def largest(block_of: tuple[int, int]) -> sparse.csr_matrix:
        start, stop = block_of
        block = (left[start:stop] @ right).tocsr()
        rows = np.repeat(np.arange(start, stop, dtype=np.int32), np.diff(block.indptr))
        if weigh is not None:
            block.data = weigh(block.data, rows, block.indices).astype(np.float32, copy=False)
        if without_diagonal:
            block.data[rows == block.indices] = 0
        return largest_per_row(block, n_kept)

    n_threads = torch.get_num_threads()
    ranges = list(row_blocks(n_paths, min(_CUT_ENTRIES, 4 * _CUT_ENTRIES // n_threads)))
    blocks = []
    with thread_map(n_threads if len(ranges) > 1 else 1) as map_:
        for (_, stop), block in zip(ranges, map_(largest, ranges), strict=True):
            blocks.append(block)
            if progress is not None:
                progress(stop, n_rows)
    return _stack(blocks)


def _stack(blocks: list[sparse.csr_matrix]) -> sparse.csr_matrix:
    stacked: sparse.csr_matrix = sparse.vstack(blocks, format="csr", dtype=np.float32)
    return stacked


def scale_rows(matrix: sparse.csr_matrix, factors: np.ndarray) -> sparse.csr_matrix:
    """Return the matrix (R, C) with each row multiplied by its factor (R,), in float32."""
    values = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return sparse.csr_matrix((values.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)


def truncated_svd(matrix: sparse.csr_matrix, rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the largest singular values and their vectors; deterministic.

    Args:
        matrix: float32 (R, C).
        rank: D, how many of them; called `embedding_dim` in configs.

    Returns:
        Left vectors (R, D), singular values (D,) in descending order, right vectors (C, D), in float32. The entry
        of largest magnitude in each right vector is positive.

    Raises:
        ConfigError: the matrix has fewer singular values.
        TrainingError: the iterative solver did not converge.
    """
    smaller = min(matrix.shape)
    if rank > smaller:
        message = f"expected at most the smaller number of users and items, {smaller}, found {rank}"
        raise ConfigError(Fault(message, key="embedding_dim"))
    if 2 * rank > smaller:  # the iterative solver is for a small share of the vectors
        left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        start = generator(0, 0, "svd").standard_normal(smaller).astype(matrix.dtype)
        try:
            left, values, right = linalg.svds(matrix, k=rank, v0=start)
        except linalg.ArpackNoConvergence:
            message = f"the {rank} largest singular values of {matrix.shape[0]:,} x {matrix.shape[1]:,} entries "
            raise TrainingError(f"{message}did not converge; take another embedding_dim") from None
    order = np.argsort(-values, kind="stable")[:rank]
    left, values, right = left[:, order], values[order], right[order].T
    signs = np.sign(np.take_along_axis(right, np.abs(right).argmax(0)[None, :], axis=0))
    return left * signs, values, right * signs


def row_blocks(costs: np.ndarray, limit: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of consecutive blocks of rows whose costs (R,) sum to at most `limit`, or of a single row."""
    total = np.cumsum(costs)
    start, spent = 0, 0.0
    while start < len(costs):
        stop = max(start + 1, int(np.searchsorted(total, spent + limit, side="right")))
        yield start, stop
        start, spent = stop, float(total[stop - 1])
