"""A recommender knows what precedes its moment, and new users are ranked as a model scores their histories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recrun.architectures import RecSysArch
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import CSR
from recrun.errors import ConfigError
from recrun.recommendation.recommender import Recommender


@pytest.fixture(scope="module")
def base() -> Synthetic:
    """Small data with three parts."""
    return Synthetic("data", n_users=50, n_items=30, n_interactions=600)


class Products(RecSysArch):
    """Scores that are products of vectors; the vector of a new user is the sum of those of their items."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.users, self.items = (torch.randn(n, 4, generator=generator) for n in (n_users, n_items))
        self.n_calls = 0

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.n_calls += 1
        return self.users, self.items

    def embed_histories(self, histories: CSR) -> torch.Tensor:
        rows = [self.items[torch.from_numpy(histories.row(u)).long()].sum(0) for u in range(histories.n_rows)]
        return torch.stack(rows)


class Rows(RecSysArch):
    """Scores that are computed for whole rows: how often an item's number is near those of the history."""

    def score_histories(self, histories: CSR) -> torch.Tensor:
        scores = torch.zeros(histories.n_rows, 30)
        for u in range(histories.n_rows):
            for item in histories.row(u):
                scores[u] -= (torch.arange(30) - int(item)).abs()
        return scores

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(users), 30)


@pytest.mark.parametrize(("as_of", "parts"), [("valid", "train"), ("test", "train valid"), ("end", "train valid test")])
def test_what_is_seen_is_what_precedes(base: Synthetic, as_of: Any, parts: str) -> None:
    recommender = Recommender(Products(50, 30), base, as_of=as_of)
    pairs = {
        pair
        for part in parts.split()
        for pair in zip(
            base.interactions(part).users.tolist(),  # type: ignore[arg-type]
            base.interactions(part).items.tolist(),  # type: ignore[arg-type]
            strict=True,
        )
    }
    assert set(zip(*(each.tolist() for each in recommender.seen.pairs()), strict=True)) == pairs


def test_vectors_are_computed_once(base: Synthetic) -> None:
    model = Products(50, 30)
    recommender = Recommender(model, base)
    for _ in range(3):
        list(recommender.recommend(np.arange(3), 5))
        list(recommender.similar_items(np.arange(3), 5))
    assert model.n_calls == 1


def test_new_users_are_ranked_by_the_vectors_of_their_histories(base: Synthetic) -> None:
    model = Products(50, 30)
    recommender = Recommender(model, base)
    histories = CSR.from_pairs(np.array([0, 0, 1]), np.array([3, 5, 29]), 2)
    (block,) = recommender.recommend_to_new(histories, 28, excluded=histories)
    scores = (model.embed_histories(histories) @ model.items.T).numpy()
    for row, left_out in ((0, {3, 5}), (1, {29})):
        expected = [item for item in np.argsort(-scores[row]).tolist() if item not in left_out]
        assert block.items_BK[row, : len(expected)].tolist() == expected[:28]


def test_new_users_are_ranked_by_the_scores_of_their_histories(base: Synthetic) -> None:
    recommender = Recommender(Rows(), base)
    histories = CSR.from_pairs(np.array([0, 1]), np.array([4, 20]), 2)
    (block,) = recommender.recommend_to_new(histories, 3)
    assert block.items_BK.tolist() == [[4, 3, 5], [20, 19, 21]]
    (alike,) = recommender.similar_items(np.array([4]), 2)
    assert alike.items_BK.tolist() == [[3, 5]]
    assert recommender.similarity("item") == "score"


def test_similar_users_need_vectors(base: Synthetic) -> None:
    with pytest.raises(ConfigError, match="Rows has no vectors of users"):
        list(Recommender(Rows(), base).similar_users(np.array([0]), 3))
