"""The model `ials`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from recrun.data.interactions import TrainingData
from recrun.models.ials import IALS

Build = Callable[..., TrainingData]
SETTINGS = {"embedding_dim": 6, "unobserved_weight": 0.2, "reg_weight": 0.05, "reg_exponent": 0.7}


def _fitted(data: TrainingData, n_iterations: int, **settings: float) -> IALS:
    torch.manual_seed(5)
    model = IALS(data, n_iterations=n_iterations, **{**SETTINGS, **settings})  # type: ignore[arg-type]
    model.fit(data)
    return model


def _loss(model: IALS, table: np.ndarray) -> float:
    """Return the loss of the paper, all pairs written out."""
    users, items = (vectors.double().numpy() for vectors in model.vectors())
    scores = users @ items.T
    weight, exponent = SETTINGS["unobserved_weight"], SETTINGS["reg_exponent"]
    of_users = (table.sum(1) + weight * table.shape[1]) ** exponent
    of_items = (table.sum(0) + weight * table.shape[0]) ** exponent
    ridge = (of_users * (users**2).sum(1)).sum() + (of_items * (items**2).sum(1)).sum()
    return float(((scores - 1) ** 2)[table > 0].sum() + weight * (scores**2).sum() + SETTINGS["reg_weight"] * ridge)


def test_the_items_are_solved_for_exactly(data_of: Build, table: np.ndarray) -> None:
    model = _fitted(data_of(table), 1)
    users, items = (vectors.double().numpy() for vectors in model.vectors())
    for item in range(20):
        met = users[table[:, item] > 0]
        ridge = 0.05 * (len(met) + 0.2 * 30) ** 0.7
        left = met.T @ met + 0.2 * users.T @ users + ridge * np.eye(6)
        np.testing.assert_allclose(items[item], np.linalg.solve(left, met.sum(0)), atol=1e-5)


def test_every_iteration_lowers_the_loss(data_of: Build, table: np.ndarray) -> None:
    losses = [_loss(_fitted(data_of(table), n_iterations), table) for n_iterations in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_who_has_no_interactions_gets_no_embedding(data_of: Build, table: np.ndarray) -> None:
    users, items = _fitted(data_of(table), 2).vectors()
    assert not users[3].any()
    assert not items[5].any()
    assert users[:3].any(dim=1).all()


def test_the_result_does_not_depend_on_how_rows_are_batched(
    data_of: Build, table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(table)
    together = _fitted(data, 3).vectors()
    monkeypatch.setattr("recrun.architectures.least_squares._BATCH_NUMBERS", 1)
    for batched, single in zip(together, _fitted(data, 3).vectors(), strict=True):
        torch.testing.assert_close(batched, single, atol=1e-5, rtol=1e-4)


def test_progress_is_told(data_of: Build, table: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    model = IALS(data_of(table), embedding_dim=4, n_iterations=2)
    model.progress = lambda done, total: told.append((done, total))
    model.fit(data_of(table))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
