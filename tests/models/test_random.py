"""The model `random`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from recrun.data.interactions import TrainingData
from recrun.models.random import Random


def _model(data_of: Callable[..., TrainingData], seed: int = 1, n_users: int = 300, n_items: int = 200) -> Random:
    torch.manual_seed(seed)
    model = Random(data_of(np.ones((n_users, n_items), dtype=int)))
    model.fit(data_of([[1]]))
    return model


def test_scores_are_the_hash_computed_number_by_number(data_of: Callable[..., TrainingData]) -> None:
    def mix(number: int) -> int:
        number &= 0xFFFFFFFF
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            number ^= number >> shift
            number = number * factor & 0xFFFFFFFF
        return number

    model = _model(data_of)
    key = int(model.key) & 0xFFFFFFFF
    scores = model.score(torch.tensor([4, 299]))
    for place, user in enumerate((4, 299)):
        for item in (0, 17, 199):
            hashed = mix(mix(mix(user + key) ^ key) ^ mix(item - key)) | 0x80000000
            assert float(scores[place, item]) == np.float32((hashed - 2**32) / 2**31)


def test_a_score_depends_on_the_user_and_the_item_alone(data_of: Callable[..., TrainingData]) -> None:
    model = _model(data_of)
    everybody = model.score(torch.arange(300))
    assert torch.equal(model.score(torch.tensor([299, 5])), everybody[[299, 5]])
    assert torch.equal(_model(data_of).score(torch.arange(300)), everybody)
    assert not torch.equal(_model(data_of, seed=2).score(torch.arange(300)), everybody)


def test_scores_are_uniform_and_unlike_those_of_other_users(data_of: Callable[..., TrainingData]) -> None:
    scores = _model(data_of).score(torch.arange(300)).double().numpy() + 1
    assert 0 <= scores.min() < scores.max() < 1
    counts = np.histogram(scores, bins=20, range=(0, 1))[0]
    assert ((counts - 3000) ** 2 / 3000).sum() < 45.0  # chi squared with 19 degrees of freedom: p = 0.0007
    correlations = np.corrcoef(scores)[np.triu_indices(300, 1)]
    assert abs(correlations.std() * np.sqrt(200) - 1) < 0.05
    by_item = np.corrcoef(scores.T)[np.triu_indices(200, 1)]
    assert abs(by_item.std() * np.sqrt(300) - 1) < 0.05


def test_no_two_items_tie(data_of: Callable[..., TrainingData]) -> None:
    scores = _model(data_of, n_users=3, n_items=40_000).score(torch.arange(3))
    best = scores.topk(100, dim=1).values
    assert (best[:, 1:] < best[:, :-1]).all()
