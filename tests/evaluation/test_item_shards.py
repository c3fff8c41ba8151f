"""Items that are divided among processes are ranked as if one had all, ties and empty ranks included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recrun.data.interactions import CSR
from recrun.errors import ConfigError, TrainingError
from recrun.evaluation import item_shards
from recrun.evaluation.ranking import RankingResult, evaluate_ranking
from recrun.evaluation.sharing import part_of
from tests.training.parallel.threads import ThreadProcesses, together

N_USERS, N_ITEMS = 50, 23
METRICS = ["recall@3", "ndcg@10", "hitrate@1", "coverage@5", "popularity@5"]


class Vectors:
    """A model with fixed vectors."""

    def __init__(self, users_UD: Tensor, items_ID: Tensor) -> None:
        self.users_UD, self.items_ID = users_UD, items_ID

    def vectors(self) -> tuple[Tensor, Tensor]:
        return self.users_UD, self.items_ID


class Divided:
    """Who has which vectors."""

    def __init__(self, rank: int, n: int) -> None:
        self.users, self.items = part_of(N_USERS, rank, n), part_of(N_ITEMS, rank, n)
        self.n_users = N_USERS

    def vectors(self, model: Vectors) -> tuple[Tensor, Tensor]:
        return model.users_UD[self.users], model.items_ID[self.items]


def drawn(seed: int, *, ties: bool) -> tuple[Vectors, CSR, CSR]:
    """Return a model, what is seen and what is to be found; with few distinct vectors many scores are equal."""
    generator = torch.Generator().manual_seed(seed)
    users_UD, items_ID = (torch.randn(size, 4, generator=generator) for size in (N_USERS, N_ITEMS))
    if ties:
        users_UD, items_ID = users_UD.sign(), items_ID.sign()
    rows = np.random.default_rng(seed)
    pairs = [(rows.integers(0, N_USERS, size), rows.integers(0, N_ITEMS, size)) for size in (300, 60)]
    seen, relevant = (CSR.from_pairs(*each, N_USERS) for each in pairs)
    return Vectors(users_UD, items_ID), seen, relevant


def ranked(sharing: ThreadProcesses | None, seed: int, *, ties: bool, **more: Any) -> RankingResult:
    model, seen, relevant = drawn(seed, ties=ties)
    if sharing is not None:
        sharing.tables = Divided(sharing.rank, sharing.n)
    settings: dict[str, Any] = {"metrics": METRICS, "keep_users": True, **more}
    about = {"n_items": N_ITEMS, "device": "cpu", "sharing": sharing}
    return evaluate_ranking(model, seen=seen, relevant=relevant, **about, **settings)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_metrics_are_those_of_one_process(n: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_shards, "_CHUNK", 7)
    expected = ranked(None, n, ties=ties)
    first, *others = together(n, lambda processes: ranked(processes, n, ties=ties))
    assert first.values == expected.values
    assert (first.n_users, first.n_skipped) == (expected.n_users, expected.n_skipped)
    assert first.per_user is not None
    assert expected.per_user is not None
    for name, values_U in expected.per_user.values.items():
        np.testing.assert_array_equal(first.per_user.values[name], values_U)
    assert [each.values for each in others] == [{}] * (n - 1)


def test_given_candidates_alone_are_ranked() -> None:
    rows = np.random.default_rng(0)
    chosen = CSR.from_pairs(np.repeat(np.arange(N_USERS), 4), rows.integers(0, N_ITEMS, 4 * N_USERS), N_USERS)
    expected = ranked(None, 3, ties=False, candidates=chosen)
    assert expected.values != ranked(None, 3, ties=False).values
    found = together(3, lambda processes: ranked(processes, 3, ties=False, candidates=chosen))
    assert found[0].values == expected.values


def test_a_score_that_is_not_a_number_and_metrics_of_all_scores_are_errors() -> None:
    with pytest.raises(ConfigError, match="needs the scores of all"):
        together(2, lambda processes: ranked(processes, 1, ties=False, metrics=["auc"]))

    def spoilt(processes: ThreadProcesses) -> RankingResult:
        model, seen, relevant = drawn(1, ties=False)
        model.items_ID[N_ITEMS - 1] = torch.nan
        processes.tables = Divided(processes.rank, processes.n)
        about: dict[str, Any] = {"n_items": N_ITEMS, "metrics": METRICS, "device": "cpu", "sharing": processes}
        return evaluate_ranking(model, seen=seen, relevant=relevant, **about)

    with pytest.raises(TrainingError, match="NaN"):
        together(2, spoilt)
