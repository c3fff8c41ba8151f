"""What metrics return, and that they leave the arrays they are given as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.monitor_names import MetricName
from recrun.errors import RegistryError
from recrun.metrics.returned import one_each, one_number, unchanged
from recrun.metrics.undefined import Undefined

NAME = MetricName("mine", 5)


@pytest.mark.parametrize(
    "values", [[0.5, 1], (1, 0), np.array([True, False]), np.float32([1, 2]), torch.tensor([1.0, 2.0])]
)
def test_one_real_number_for_each_user_is_taken_in_double_precision(values: Any) -> None:
    found = one_each(NAME, values, 2, "user")
    assert found.dtype == np.float64
    assert found.tolist() == [float(value) for value in values]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros((2, 5)), r"float64 of shape \(2, 5\)"),
        (np.zeros(1), r"float64 of shape \(1,\)"),
        (np.zeros(2) * 1j, r"complex128 of shape \(2,\)"),
        (np.array(["1", "2"]), r"<U1 of shape \(2,\)"),
        (np.array([1, None]), r"object of shape \(2,\)"),
        (torch.zeros(3), r"torch.float32 of shape \(3,\)"),
        ([[1], [1, 2]], r"\[\[1\], \[1, 2\]\]"),
        (0.5, r"0\.5"),
        (None, "None"),
        ("12", "'12'"),
        ({i: i for i in range(90)}, r"\.\.\. \(dict\)"),
    ],
)
def test_anything_else_for_users_is_refused_with_what_came(values: Any, told: str) -> None:
    with pytest.raises(RegistryError, match=rf"^metric mine@5 must return one number for each user, .*{told}$"):
        one_each(NAME, values, 2, "user")


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1), np.array(1.0), torch.tensor(1.0)])
def test_one_real_number_is_taken_as_a_float(value: Any) -> None:
    found = one_number(NAME, value)
    assert type(found) is float
    assert found == 1.0


@pytest.mark.parametrize("value", [None, "1", 1j, [1.0], np.ones(1), np.ones((2, 2)), torch.ones(3), {}])
def test_anything_else_than_one_number_is_refused(value: Any) -> None:
    with pytest.raises(RegistryError, match=r"^metric mine@5 must return a number, and returned "):
        one_number(NAME, value)


def test_nan_is_undefined() -> None:
    found = one_number(NAME, np.float64("nan"))
    assert isinstance(found, Undefined)
    assert found.reason == "the metric returned NaN"


def write_by_numpy(hits_BK: np.ndarray, n_relevant_B: np.ndarray, k: int) -> np.ndarray:
    hits_BK[:] = True
    return hits_BK[:, 0].astype(float)


def write_by_torch(hits_BK: np.ndarray, n_relevant_B: np.ndarray, k: int) -> torch.Tensor:
    return torch.from_numpy(hits_BK).fill_(True)[:, 0].double()


def write_second(hits_BK: np.ndarray, n_relevant_B: np.ndarray, k: int) -> np.ndarray:
    n_relevant_B -= 1
    return hits_BK[:, 0] / np.maximum(n_relevant_B, 1)


@pytest.mark.parametrize(("compute", "place"), [(write_by_numpy, 1), (write_by_torch, 1), (write_second, 2)])
def test_a_metric_that_changes_what_it_is_given_is_refused_and_changes_nothing(compute: Any, place: int) -> None:
    hits_BK, n_relevant_B = np.zeros((2, 3), dtype=bool), np.ones(2, dtype=np.int64)
    with pytest.raises(
        RegistryError, match=rf"^metric mine@5 changes its argument {place} in place, .*hits\.copy\(\)$"
    ):
        unchanged(NAME, compute)(hits_BK, n_relevant_B, 5)
    assert not hits_BK.any()
    assert n_relevant_B.tolist() == [1, 1]


def test_nan_in_what_is_given_is_no_change() -> None:
    assert unchanged(NAME, lambda scores: scores[1])(np.array([np.nan, 2.0])) == 2.0
