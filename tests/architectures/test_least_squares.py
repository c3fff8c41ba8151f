"""Least squares of many rows, against equations written out and solved in double precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.architectures.least_squares import Columns, fit_pairs, fit_rows
from recrun.data.interactions import CSR

DIM = 12
LENGTHS = (3, 0, 1, 11, 12, 13, 40, 3, 4, 25)
"""Below, at and above the dimension, where the other of the two systems is the smaller one."""


@pytest.fixture(params=[1, 3])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    assert torch.get_num_threads() == request.param
    torch.set_num_threads(before)


def _rows(lengths: tuple[int, ...] = LENGTHS) -> CSR:
    rng = np.random.default_rng(0)
    columns = [np.sort(rng.choice(60, length, replace=False)) for length in lengths]
    return CSR(np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(columns).astype(np.int32))


def _vectors(smallest: float = 1.0) -> Tensor:
    """Return vectors (60, D) whose directions have spreads from 1 down to `smallest`."""
    torch.manual_seed(1)
    basis_DD = torch.linalg.qr(torch.randn(DIM, DIM))[0]
    return torch.randn(60, DIM) * torch.logspace(0, float(np.log10(smallest)), DIM) @ basis_DD


def _solved(rows: CSR, fixed_CD: Tensor, shared_DD: Tensor, ridge_R: np.ndarray, weight_R: np.ndarray) -> np.ndarray:
    """Return the solutions of the normal equations, row by row."""
    fixed, shared = fixed_CD.double().numpy(), shared_DD.double().numpy()
    solved = np.zeros((rows.n_rows, DIM))
    for row in range(rows.n_rows):
        own = fixed[rows.row(row)]
        left = shared + weight_R[row] * own.T @ own + ridge_R[row] * np.eye(DIM)
        solved[row] = np.linalg.solve(left, weight_R[row] * own.sum(0))
    return solved


def _errors(found: Tensor, expected: np.ndarray) -> np.ndarray:
    """Return the distances of vectors relative to the lengths of the expected ones, those of zero left out."""
    lengths = np.linalg.norm(expected, axis=1)
    return (np.linalg.norm(found.double().numpy() - expected, axis=1) / np.where(lengths > 0, lengths, 1))[lengths > 0]


@pytest.mark.parametrize("limit", [1, 5_000, 1 << 20])
def test_vectors_are_those_of_the_normal_equations(n_threads: int, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.architectures.least_squares._BATCH_NUMBERS", limit)
    rows, fixed_CD, rng = _rows(), _vectors(), np.random.default_rng(2)
    ridge_R, weight_R = rng.uniform(0.1, 2, rows.n_rows), rng.uniform(0.1, 2, rows.n_rows)
    shared_DD = 0.03 * fixed_CD.T @ fixed_CD
    columns = Columns.of(fixed_CD, shared_DD)
    expected = _solved(rows, fixed_CD, shared_DD, ridge_R, weight_R)
    found = fit_rows(rows, columns, ridge_R, weight_R)
    assert _errors(found, expected).max() < 3e-6
    assert not found[1].any()
    expected = _solved(rows, fixed_CD, shared_DD, ridge_R, np.ones(rows.n_rows))
    assert _errors(fit_rows(rows, columns, ridge_R), expected).max() < 3e-6


@pytest.mark.parametrize("ridge", [1e-6, 1e-3])
@pytest.mark.parametrize("share", [0.0, 0.03])
def test_a_small_ridge_costs_no_more_digits_than_the_normal_equations_in_single_precision(
    ridge: float, share: float
) -> None:
    rows, fixed_CD = _rows(), _vectors(smallest=1e-2)
    shared_DD = share * fixed_CD.T @ fixed_CD
    ridge_R = np.full(rows.n_rows, ridge)
    expected = _solved(rows, fixed_CD, shared_DD, ridge_R, np.ones(rows.n_rows))
    single = torch.zeros(rows.n_rows, DIM)
    for row in range(rows.n_rows):
        own = fixed_CD[rows.row(row)]
        single[row] = torch.linalg.solve(shared_DD + own.T @ own + ridge * torch.eye(DIM), own.sum(0))
    found = _errors(fit_rows(rows, Columns.of(fixed_CD, shared_DD), ridge_R), expected)
    assert found.max() < max(1e-5, 2 * _errors(single, expected).max())


def test_rows_that_are_fitted_alone_have_the_same_vectors() -> None:
    rows, fixed_CD = _rows((5, 5, 4, 30)), _vectors()
    columns = Columns.of(fixed_CD, torch.eye(DIM))
    together = fit_rows(rows, columns, np.ones(4))
    alone = torch.cat([fit_rows(rows.take(np.array([row])), columns, np.ones(1)) for row in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_the_number_of_threads_changes_no_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.architectures.least_squares._BATCH_NUMBERS", 1_000)
    rows, columns, before = _rows(), Columns.of(_vectors(), torch.eye(DIM)), torch.get_num_threads()
    found = []
    for n_threads in (1, 4):
        torch.set_num_threads(n_threads)
        found.append(fit_rows(rows, columns, np.ones(rows.n_rows)))
    torch.set_num_threads(before)
    assert torch.equal(*found)


def test_pairs_are_fitted_as_if_written_out() -> None:
    rows, fixed_CD, ridge = _rows(), _vectors(), 0.1
    mean_D = fixed_CD.mean(0)
    covariance_DD = torch.cov(fixed_CD.T, correction=0)
    found = fit_pairs(rows, Columns.of(fixed_CD - mean_D, covariance_DD), ridge)
    for row in range(rows.n_rows):
        own = fixed_CD[rows.row(row)].double()
        if not len(own):
            assert not found[row].any()
            continue
        differences = (own[:, None] - fixed_CD.double()).flatten(0, 1)
        left = differences.T @ differences / (4 * len(differences)) + ridge * torch.eye(DIM)
        expected = torch.linalg.solve(left, differences.mean(0) / 2)
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-5, atol=1e-6)


def test_a_column_that_is_not_a_number_is_an_error_in_the_callers_thread() -> None:
    rows, columns = _rows(), Columns.of(_vectors(), torch.eye(DIM))
    columns.padded_CD[3] = float("nan")
    with pytest.raises(torch.linalg.LinAlgError):
        fit_rows(rows, columns, np.ones(rows.n_rows))
