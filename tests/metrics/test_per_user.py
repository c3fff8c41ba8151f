"""Values of each user: their mean is the reported number, to the last digit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recrun.data.interactions import CSR
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics.per_user import SUMMED, RunningMean, mean_of_users

METRICS = ["recall@10", "ndcg@20", "precision@5", "mrr@10", "auc"]
N_USERS, N_ITEMS = 3 * SUMMED + 17, 50


class Scores:
    """A model with fixed scores."""

    def __init__(self) -> None:
        self.scores = torch.from_numpy(np.random.default_rng(0).normal(size=(N_USERS, N_ITEMS)))

    def vectors(self) -> None:
        return None

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def _rows(seed: int, per_user: int) -> CSR:
    generator = np.random.default_rng(seed)
    users = np.repeat(np.arange(N_USERS), generator.integers(0, per_user + 1, N_USERS))
    items = generator.integers(0, N_ITEMS, len(users))
    users, items = np.unique(np.stack([users, items]), axis=1)
    return CSR(np.searchsorted(users, np.arange(N_USERS + 1)), items)


def test_the_mean_of_what_is_kept_is_the_value_to_the_last_digit() -> None:
    seen, relevant = _rows(1, 3), _rows(2, 4)
    result = evaluate_ranking(
        Scores(), seen=seen, relevant=relevant, n_items=N_ITEMS, metrics=METRICS, device="cpu", keep_users=True
    )
    assert result.per_user is not None
    assert list(result.per_user.values) == METRICS
    assert result.per_user.users_U.tolist() == np.flatnonzero(np.diff(relevant.indptr)).tolist()
    for name, values_U in result.per_user.values.items():
        assert mean_of_users(values_U) == result.values[name]
        assert math.isclose(math.fsum(values_U[~np.isnan(values_U)]) / (~np.isnan(values_U)).sum(), result.values[name])


def test_keeping_the_values_changes_none_of_the_means() -> None:
    given = {"seen": _rows(1, 3), "relevant": _rows(2, 4), "n_items": N_ITEMS, "metrics": METRICS, "device": "cpu"}
    plain = evaluate_ranking(Scores(), **given)
    assert plain.per_user is None
    assert plain.values == evaluate_ranking(Scores(), **given, keep_users=True).values


def test_each_value_is_that_of_the_user_evaluated_alone() -> None:
    seen, relevant = _rows(1, 3), _rows(2, 4)
    together = evaluate_ranking(
        Scores(), seen=seen, relevant=relevant, n_items=N_ITEMS, metrics=METRICS, device="cpu", keep_users=True
    ).per_user
    assert together is not None
    for place in (0, 1, SUMMED, len(together.users_U) - 1):
        user = int(together.users_U[place])
        own = relevant.indices[relevant.indptr[user] : relevant.indptr[user + 1]]
        alone = CSR(np.where(np.arange(N_USERS + 1) > user, len(own), 0), own)
        values = evaluate_ranking(
            Scores(), seen=seen, relevant=alone, n_items=N_ITEMS, metrics=METRICS, device="cpu"
        ).values
        for name in METRICS:
            assert together.values[name][place] == pytest.approx(values[name], nan_ok=True, abs=0)


def test_metrics_of_all_rankings_together_have_no_values_of_users() -> None:
    result = evaluate_ranking(
        Scores(),
        seen=_rows(1, 3),
        relevant=_rows(2, 4),
        n_items=N_ITEMS,
        metrics=["coverage@10", "ndcg@10", "gini@10"],
        device="cpu",
        keep_users=True,
    )
    assert result.per_user is not None
    assert list(result.per_user.values) == ["ndcg@10"]


def test_nobody_has_no_mean() -> None:
    assert mean_of_users(np.array([math.nan, math.nan])) is None
    assert mean_of_users(np.empty(0)) is None
    assert RunningMean().kept is None


def test_what_is_kept_is_a_copy() -> None:
    running, values = RunningMean(keep=True), np.array([0.5, 0.25])
    running.add(values)
    values[:] = 7
    assert running.kept is not None
    assert running.kept[0].tolist() == [0.5, 0.25]
