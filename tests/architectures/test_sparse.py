"""Sparse matrices: as state, in products, and cut to their largest entries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse import linalg

from recrun.architectures.sparse import (
    SparseMatrix,
    dense_product,
    largest_of_product,
    largest_per_row,
    row_blocks,
    scale_rows,
    truncated_svd,
)
from recrun.errors import ConfigError, TrainingError


def _random(n_rows: int, n_columns: int, density: float = 0.3, seed: int = 0) -> sparse.csr_matrix:
    """Return a matrix of few distinct values, so that many are equal."""
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 6, (n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < density)
    return sparse.csr_matrix(dense.astype(np.float32))


def _cut(dense: np.ndarray, n_kept: int) -> np.ndarray:
    """Keep the largest entries above 0 of each row, one row at a time."""
    result = np.zeros_like(dense)
    for row, kept in zip(dense, result, strict=True):
        places = sorted(np.flatnonzero(row > 0), key=lambda place: (-row[place], place))[:n_kept]
        kept[places] = row[places]
    return result


def test_a_state_goes_into_an_empty_matrix_of_the_same_shape() -> None:
    matrix, other = SparseMatrix(5, 4), SparseMatrix(5, 4)
    matrix.set(_random(5, 4))
    other.load_state_dict(matrix.state_dict())
    assert (other.to_scipy() != _random(5, 4)).nnz == 0
    assert [buffer.dtype for buffer in other.buffers()] == [torch.int64, torch.int32, torch.float32]
    other.set(_random(5, 4, density=0.9))  # and the loaded one can be loaded over
    other.load_state_dict(SparseMatrix(5, 4).state_dict())
    assert other.to_scipy().nnz == 0


def test_the_view_of_scipy_shares_the_memory_of_the_state() -> None:
    matrix = SparseMatrix(5, 4)
    matrix.set(_random(5, 4))
    matrix.to_scipy().data[0] = 77
    assert matrix.values[0] == 77


def test_a_matrix_of_another_shape_is_not_taken() -> None:
    with pytest.raises(ValueError, match=r"expected a matrix of shape \(5, 4\), found \(4, 5\)"):
        SparseMatrix(5, 4).set(_random(4, 5))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"indptr": torch.tensor([0, 1])}, "wrong lengths"),
        ({"values": torch.zeros(1)}, "wrong lengths"),
        ({"indptr": torch.tensor([0, 2, 1, 3])}, "do not ascend"),
        ({"indptr": torch.tensor([0, 1, 2, 9])}, "do not ascend"),
        ({"indices": torch.tensor([0, 1, 2], dtype=torch.int32)}, "out of range"),
        ({"indices": torch.tensor([0, -1, 1], dtype=torch.int32)}, "out of range"),
    ],
)
def test_a_damaged_state_is_refused(damage: dict[str, torch.Tensor], message: str) -> None:
    state = {
        "weights.indptr": torch.tensor([0, 1, 2, 3]),
        "weights.indices": torch.tensor([0, 1, 1], dtype=torch.int32),
        "weights.values": torch.ones(3),
    }
    module = torch.nn.ModuleDict({"weights": SparseMatrix(3, 2)})
    module.load_state_dict(state)
    with pytest.raises(RuntimeError, match=rf"weights is not a matrix of shape \(3, 2\): .*{message}"):
        module.load_state_dict(state | {f"weights.{name}": value for name, value in damage.items()})


def test_a_state_without_its_parts_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        SparseMatrix(3, 2).load_state_dict({"indptr": torch.zeros(4, dtype=torch.int64)})


def test_a_product_is_written_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = _random(17, 9), _random(9, 13, seed=1)
    expected = left.toarray() @ right.toarray()
    np.testing.assert_array_equal(dense_product(left, right), expected)
    monkeypatch.setattr("recrun.architectures.sparse._BLOCK_ENTRIES", 30)
    np.testing.assert_array_equal(dense_product(left, right), expected)
    assert dense_product(left[:0], right).shape == (0, 13)


@pytest.mark.parametrize("n_kept", [1, 3, 50])
def test_the_largest_entries_of_each_row_are_kept_and_ties_go_to_the_smaller_column(n_kept: int) -> None:
    matrix = _random(40, 30, density=0.7)
    matrix.data -= 2  # some are 0 now, some negative
    kept = largest_per_row(matrix, n_kept)
    np.testing.assert_array_equal(kept.toarray(), _cut(matrix.toarray(), n_kept))
    assert kept.has_sorted_indices
    assert kept.data.dtype == np.float32


def test_values_that_are_no_numbers_are_not_kept() -> None:
    values = np.array([1, np.nan, -np.nan, -0.0, 0, -3, 2, np.inf], dtype=np.float32)
    matrix = sparse.csr_matrix((values, np.arange(8)[::-1].copy(), [0, 8]), shape=(1, 8))
    for n_kept, expected in ((2, [0, 1]), (8, [0, 1, 7])):
        kept = largest_per_row(matrix, n_kept)
        assert kept.indices.tolist() == expected
        assert kept.data.tolist() == [np.inf, 2, 1][: len(expected)]


@pytest.mark.parametrize("block", [1, 100, 1 << 21])
def test_the_largest_of_a_product_are_those_of_the_whole(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.architectures.sparse._CUT_ENTRIES", block)
    left, right = _random(20, 9, density=0.2), _random(9, 20, density=0.2, seed=1)
    product = left.toarray() @ right.toarray()
    np.testing.assert_array_equal(
        largest_of_product(left, right, 3, without_diagonal=False).toarray(), _cut(product, 3)
    )
    np.fill_diagonal(product, 0)
    halved = product / (1 + np.arange(20, dtype=np.float32)[:, None]) / (2 + np.arange(20, dtype=np.float32))
    told: list[tuple[int, int]] = []
    found = largest_of_product(
        left,
        right,
        3,
        weigh=lambda products, rows, columns: products / (1 + rows.astype(np.float32)) / (2 + columns),
        progress=lambda done, total: told.append((done, total)),
    )
    np.testing.assert_allclose(found.toarray(), _cut(halved, 3), rtol=1e-6)
    assert told[-1] == (20, 20)


def test_the_number_of_threads_changes_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.architectures.sparse._CUT_ENTRIES", 200)
    left, right, before = _random(300, 20), _random(20, 300, seed=1), torch.get_num_threads()
    found, told = [], []
    for n_threads in (1, 4):
        torch.set_num_threads(n_threads)
        found.append(largest_of_product(left, right, 5, progress=lambda done, total: told.append(done)))
        assert torch.get_num_threads() == n_threads
    torch.set_num_threads(before)
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found[0], name), getattr(found[1], name))
    assert told == 2 * sorted(set(told))
    assert told[-1] == 300


def test_blocks_of_rows_cover_them_and_cost_no_more_than_allowed() -> None:
    costs = np.random.default_rng(0).integers(0, 50, 100)
    blocks = list(row_blocks(costs, 60))
    assert [start for start, _ in blocks] == [0, *(stop for _, stop in blocks[:-1])]
    assert blocks[-1][1] == 100
    assert all(costs[start:stop].sum() <= 60 for start, stop in blocks)
    assert list(row_blocks(np.array([5, 500, 5]), 60)) == [(0, 1), (1, 2), (2, 3)]
    assert list(row_blocks(np.zeros(0), 60)) == []


def test_rows_are_scaled() -> None:
    matrix = scale_rows(_random(3, 4, density=1.0), np.array([1.0, 0.0, 2.0]))
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix.toarray(), _random(3, 4, density=1.0).toarray() * [[1.0], [0.0], [2.0]])


@pytest.mark.parametrize("rank", [1, 4, 30, 40])
def test_the_largest_singular_values_are_found_the_same_at_every_call(rank: int) -> None:
    matrix = _random(60, 40)
    left, values, right = truncated_svd(matrix, rank)
    expected = np.linalg.svd(matrix.toarray().astype(float))
    np.testing.assert_allclose(values, expected[1][:rank], rtol=1e-4, atol=1e-4)
    approximation = (expected[0][:, :rank] * expected[1][:rank]) @ expected[2][:rank]
    np.testing.assert_allclose((left * values) @ right.T, approximation, atol=1e-3)
    assert (np.take_along_axis(right, np.abs(right).argmax(0)[None], 0) > 0).all()
    for first, second in zip((left, values, right), truncated_svd(matrix, rank), strict=True):
        np.testing.assert_array_equal(first, second)


def test_more_singular_values_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"embedding_dim: expected at most .* 40, found 41"):
        truncated_svd(_random(60, 40), 41)


def test_a_decomposition_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    svds = linalg.svds
    # One step of the solver is too few for ten values.
    monkeypatch.setattr(linalg, "svds", lambda matrix, **settings: svds(matrix, maxiter=1, **settings))
    with pytest.raises(TrainingError) as error:
        truncated_svd(_random(600, 400), 10)
    assert str(error.value) == (
        "the 10 largest singular values of 600 x 400 entries did not converge; take another embedding_dim"
    )
