"""A ranker that keeps its buffers gives the lists of the recommender, however many users it is asked for at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recrun.architectures import RecSysArch
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.interactions import CSR
from recrun.recommendation.block_ranker import BlockRanker
from recrun.recommendation.recommender import Recommender


class Products(RecSysArch):
    """Scores that are products of vectors, with ties."""

    def __init__(self, n_users: int, n_items: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.users, self.items = (torch.randn(n, 3, generator=generator).round() for n in (n_users, n_items))

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.users, self.items

    def embed_histories(self, histories: CSR) -> torch.Tensor:
        rows = [self.items[torch.from_numpy(histories.row(u)).long()].sum(0) for u in range(histories.n_rows)]
        return torch.stack(rows)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    """A recommender of more users than a block has."""
    base = Synthetic("data", n_users=200, n_items=90, n_interactions=3000)
    return Recommender(Products(200, 90), base)


@pytest.mark.parametrize("n_users", [1, 15, 17, 64, 65, 200])
def test_lists_are_those_of_the_recommender(recommender: Recommender, n_users: int) -> None:
    ranker = BlockRanker(recommender)
    users = np.random.default_rng(n_users).integers(0, 200, n_users)
    for k in (1, 7, 90):
        found = ranker.recommend(users, k, ranker.seen_by(users))
        expected = list(recommender.recommend(users, k, excluded=recommender.seen))
        assert np.array_equal(found.items_BK, np.concatenate([each.items_BK for each in expected]))
        assert np.array_equal(found.scores_BK, np.concatenate([each.scores_BK for each in expected]))
        assert np.array_equal(found.users_B, users)


def test_kinds_of_lists_alternate_in_one_ranker(recommender: Recommender) -> None:
    ranker = BlockRanker(recommender)
    places = np.arange(80)
    histories = CSR.from_pairs(np.repeat(places, 3), np.arange(240) % 90, 80)
    masked = (np.repeat(places, histories.lengths), histories.indices.astype(np.int64))
    for _ in range(2):
        for found, expected in (
            (ranker.similar_items(places, 5), recommender.similar_items(places, 5)),
            (
                ranker.recommend_to_new(histories, 5, masked),
                recommender.recommend_to_new(histories, 5, excluded=histories),
            ),
            (ranker.similar_users(places, 5), recommender.similar_users(places, 5)),
            (ranker.recommend(places, 5), recommender.recommend(places, 5)),
        ):
            blocks = list(expected)
            assert np.array_equal(found.items_BK, np.concatenate([each.items_BK for each in blocks]))
            assert np.array_equal(found.scores_BK, np.concatenate([each.scores_BK for each in blocks]))
