"""Small data sets that tests can write out in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pytest

from recrun.data.fields import DenseField, FieldTuple, SparseField
from recrun.data.interactions import CSR, Interactions, TrainingData, union
from recrun.data.postprocessing.mode import MODES, Mode
from recrun.data.postprocessing.source import Source
from recrun.data.tags import ID, ITEM, RATING, TARGET, USER

Pairs = Sequence[tuple[int, int]]


class SmallSet(Source):
    """Three parts given as pairs (user, item); `read` lists the parts that were asked for, in order."""

    def __init__(self, parts: Mapping[str, Pairs], n_users: int, n_items: int) -> None:
        self.n_users, self.n_items = n_users, n_items
        self.read: list[str] = []
        self._parts = {name: np.array(pairs, dtype=np.int32).reshape(-1, 2) for name, pairs in parts.items()}
        self.fields = FieldTuple(
            [
                SparseField("user", tags=(USER, ID), transformer="none", count=n_users),
                SparseField("item", tags=(ITEM, ID), transformer="none", count=n_items),
                DenseField("rating", tags=(RATING, TARGET)),
            ]
        )

    def interactions(self, split: Mode) -> Interactions:
        self.read.append(split)
        users, items = self._parts.get(split, np.empty((0, 2), dtype=np.int32)).T
        return Interactions(users, items, {"rating": (users * 10 + items).astype(np.float32)})

    def csr(self, split: Mode) -> CSR:
        return self.interactions(split).csr(self.n_users)

    def histories(self, split: Mode) -> CSR:
        return CSR.empty(self.n_users)

    def describe(self) -> dict[str, Any]:
        return {part: len(self.interactions(part)) for part in MODES}

    def seen(self, split: Mode) -> CSR:
        return self.csr("train") if split == "valid" else union(self.csr("train"), self.csr("valid"))

    @cached_property
    def _training_data(self) -> TrainingData:
        return TrainingData(self.fields, self.n_users, self.n_items, self.interactions("train"))

    def training_data(self) -> TrainingData:
        return self._training_data


@pytest.fixture
def make_set() -> Callable[..., Any]:
    """Return what builds a small data set: `make_set(train, valid, test, n_users=, n_items=)`."""

    def build(train: Pairs, valid: Pairs = (), test: Pairs = (), *, n_users: int, n_items: int) -> SmallSet:
        return SmallSet({"train": train, "valid": valid, "test": test}, n_users, n_items)

    return build


@pytest.fixture
def small(make_set: Callable[..., Any]) -> Any:
    """4 users, 8 items; user 2 has no train items, user 3 no test items."""
    return make_set(
        [(0, 1), (0, 3), (1, 0), (3, 7), (0, 4), (3, 2), (1, 5)],
        [(0, 0), (1, 6), (2, 2)],
        [(0, 7), (1, 7), (2, 5)],
        n_users=4,
        n_items=8,
    )


@pytest.fixture
def random_set(make_set: Callable[..., Any]) -> Any:
    """60 users, 50 items, about a third of all pairs, cut into three parts."""
    rng = np.random.default_rng(5)
    pairs = np.argwhere(rng.random((60, 50)) < 0.35)
    rng.shuffle(pairs)
    train, valid, test = np.split(pairs, [800, 900])
    return make_set(train, valid, test, n_users=60, n_items=50)
