"""The model `slim`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from recrun.data.interactions import TrainingData
from recrun.models.slim import SLIM

Build = Callable[..., TrainingData]


def _weights(data: TrainingData, **settings: float) -> np.ndarray:
    settings = {"reg_weight": 0.5, "l1_weight": 0.3, "n_iterations": 300, "tolerance": 1e-7} | settings
    model = SLIM(data, **settings)  # type: ignore[arg-type]
    model.fit(data)
    return model.weights.to_scipy().toarray()


def _check_optimal(weights: np.ndarray, table: np.ndarray, candidates: np.ndarray, reg: float, l1: float) -> None:
    """Check the conditions of an optimum: slopes vanish where weights are positive, and rise where they are 0."""
    slopes = table.T @ (table @ weights - table) + reg * weights + l1
    assert (weights >= 0).all()
    assert not weights[~candidates].any()
    np.testing.assert_allclose(slopes[weights > 0], 0, atol=1e-4)
    assert (slopes[candidates & (weights == 0)] >= -1e-4).all()


def test_a_weight_worked_by_hand(data_of: Build) -> None:
    # Items 0 and 1 share 2 users, and have 2 and 3: w = (2 - l1) / (n + reg).
    weights = _weights(data_of([[1, 1], [1, 1], [0, 1]]), reg_weight=1.0, l1_weight=0.5)
    np.testing.assert_allclose(weights, [[0, 1.5 / 3], [1.5 / 4, 0]], rtol=1e-6)


def test_with_all_items_as_neighbours_the_weights_are_optimal(data_of: Build, table: np.ndarray) -> None:
    others = ~np.eye(20, dtype=bool)
    weights = _weights(data_of(table), n_neighbors=19)
    _check_optimal(weights, table, others, 0.5, 0.3)
    assert 0 < (weights > 0).sum() < others.sum()


@pytest.mark.parametrize("n_neighbors", [1, 5, 9])
def test_with_few_neighbours_the_weights_are_optimal_among_them(
    data_of: Build, table: np.ndarray, n_neighbors: int
) -> None:
    norms = np.sqrt(np.maximum(table.sum(0), 1), dtype=np.float32)
    shared = (table.T @ table * ~np.eye(20, dtype=bool)).astype(np.float32)
    cosines = shared / (norms * norms[:, None])
    candidates = np.zeros((20, 20), dtype=bool)
    nearest = np.argsort(-cosines, axis=0, kind="stable")[:n_neighbors]
    np.put_along_axis(candidates, nearest, True, axis=0)
    _check_optimal(_weights(data_of(table), n_neighbors=n_neighbors), table, candidates & (cosines > 0), 0.5, 0.3)


def test_one_gram_matrix_for_all_items_gives_the_weights_of_one_for_each(
    data_of: Build, table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = _weights(data_of(table), n_neighbors=11)
    wide = np.hstack([table, np.zeros((30, 20), dtype=int)])  # half of the items are now 20: each has its own matrix
    np.testing.assert_allclose(_weights(data_of(wide), n_neighbors=11)[:20, :20], shared, atol=1e-5)
    monkeypatch.setattr("recrun.models.slim._BLOCK_NUMBERS", 1)
    np.testing.assert_allclose(_weights(data_of(table), n_neighbors=11), shared, atol=1e-5)


def test_a_large_l1_weight_leaves_no_weights(data_of: Build, table: np.ndarray) -> None:
    assert not _weights(data_of(table), l1_weight=100.0).any()


@pytest.mark.parametrize("n_neighbors", [5, 19])
def test_weights_that_still_change_after_the_last_pass_are_told(
    data_of: Build, table: np.ndarray, n_neighbors: int
) -> None:
    data = data_of(table)
    hasty = SLIM(data, n_neighbors=n_neighbors, n_iterations=1, reg_weight=0.5, l1_weight=0.3)
    hasty.fit(data)
    changed = hasty.weights.to_scipy().toarray().max(0)  # from 0, in the only pass
    (note,) = hasty.notes
    assert note == (
        f"slim stopped before its tolerance: after 1 passes the weights of {(changed > 1e-3).sum()} of 20 items still "
        f"changed by up to {changed.max():.2g} a pass, which is more than 0.001; raise n_iterations or tolerance"
    )


@pytest.mark.parametrize(
    "settings", [{"n_iterations": 300}, {"n_iterations": 1, "tolerance": 9.0}, {"n_iterations": 1, "tolerance": 0.0}]
)
def test_nothing_is_told_once_the_tolerance_is_reached_or_without_one(
    data_of: Build, table: np.ndarray, settings: dict[str, Any]
) -> None:
    data = data_of(table)
    model = SLIM(data, **settings)
    model.fit(data)
    assert list(model.notes) == []


def test_scores_are_sums_of_the_weights_of_a_users_items(data_of: Build, table: np.ndarray) -> None:
    data = data_of(table)
    model = SLIM(data, n_neighbors=5)
    model.fit(data)
    expected = table[[4, 3]] @ model.weights.to_scipy().toarray()
    np.testing.assert_allclose(model.score(torch.tensor([4, 3])), expected, rtol=1e-5)


def test_too_many_neighbours_for_the_memory_are_refused(
    data_of: Build, table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recrun.memory.available_memory", lambda: 1000)
    with pytest.raises(Exception, match=r"slim with most of 20 items as neighbors needs about .* lower n_neighbors"):
        _weights(data_of(table), n_neighbors=19)
