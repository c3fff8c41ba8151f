"""What tests of single models share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.fields import FieldTuple
from recrun.data.interactions import TIMESTAMP, Interactions, TrainingData

Build = Callable[..., TrainingData]
Fit = Callable[..., Tensor]


@pytest.fixture(scope="session")
def data_of() -> Build:
    """Make training data from a table (U, I) in which 1 stands where user and item met."""

    def build(table: np.ndarray | list[list[int]]) -> TrainingData:
        users, items = np.nonzero(np.asarray(table))
        interactions = Interactions(users.astype(np.int32), items.astype(np.int32))
        return TrainingData(FieldTuple(), *np.shape(table), interactions)  # type: ignore[arg-type]

    return build


@pytest.fixture(scope="session")
def scores_of(data_of: Build) -> Fit:
    """Fit a model on a table (U, I), and return its scores of all users."""

    def fit(model: type[ClosedFormArch], table: np.ndarray | list[list[int]], **settings: object) -> Tensor:
        data = data_of(table)
        fitted = model(data, **settings)  # type: ignore[call-arg, arg-type]
        fitted.fit(data)
        return fitted.score(torch.arange(data.n_users))

    return fit


@pytest.fixture(scope="session")
def table() -> np.ndarray:
    """Interactions of 30 users with 20 items, of uneven popularity; user 3 and item 5 have none."""
    rng = np.random.default_rng(7)
    table = (rng.random((30, 20)) < rng.uniform(0.05, 0.6, 20)).astype(np.int64)
    table[3], table[:, 5] = 0, 0
    return table


@pytest.fixture(scope="session")
def in_order() -> TrainingData:
    """Interactions of 6 users with 9 items, in the order of the rows; user 2 has none."""
    histories = {0: [3, 1, 4], 1: [5, 8], 3: [2, 6, 0, 7, 1], 4: [8], 5: [0, 5]}
    users = np.repeat(list(histories), [len(items) for items in histories.values()]).astype(np.int32)
    items = np.concatenate(list(histories.values())).astype(np.int32)
    columns = {TIMESTAMP: np.arange(len(items), dtype=np.int64)}
    return TrainingData(FieldTuple(), 6, 9, Interactions(users, items, columns))


@pytest.fixture(scope="session")
def small_data() -> TrainingData:
    """The training part of a small synthetic data set, with fields to embed."""
    data: TrainingData = Synthetic(n_users=40, n_items=30, n_interactions=400).training_data()
    return data


@pytest.fixture(scope="session")
def adjacency(small_data: TrainingData) -> Tensor:
    """The adjacency matrix of `small_data` (U + I, U + I), weighted by the roots of both nodes' degrees, dense."""
    table = torch.from_numpy(small_data.matrix().toarray()).double()
    whole = torch.cat([torch.cat([torch.zeros(40, 40), table], 1), torch.cat([table.T, torch.zeros(30, 30)], 1)])
    roots = whole.sum(1).clamp(min=1) ** -0.5
    return roots[:, None] * whole * roots
