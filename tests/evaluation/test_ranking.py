"""Ranking of all items, against plain Python; and the same numbers however the work is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.monitor_names import MetricName, parse_monitor
from recrun.data.interactions import CSR
from recrun.errors import ConfigError, DataError, TrainingError
from recrun.evaluation import ranking, score_tiles
from recrun.evaluation.ranking import RankingResult, evaluate_ranking
from recrun.metrics import per_user
from recrun.metrics.ranking import area_under_curve
from recrun.registry import METRICS

ACCURACY = [
    parse_monitor(f"{name}@{k}")
    for name in ("recall", "precision", "hitrate", "f1", "ndcg", "mrr", "map")
    for k in (1, 3, 20)
]
BEYOND = [parse_monitor(f"{name}@3") for name in ("coverage", "gini", "novelty", "popularity")]
ALL = [*ACCURACY, *BEYOND, MetricName("auc")]


class Scored:
    """A model that knows its scores (U, I)."""

    def __init__(self, scores: Any) -> None:
        self.scores = torch.as_tensor(np.asarray(scores, dtype=np.float32))

    def vectors(self) -> None:
        return None

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


class Factors:
    """A model whose scores are products; of small integers, so that they are exact and often equal."""

    def __init__(self, n_users: int, n_items: int, dim: int = 4, seed: int = 0, whole: bool = True) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.users, self.items = (
            torch.randn(n_users, dim, generator=generator),
            torch.randn(n_items, dim, generator=generator),
        )
        if whole:
            self.users, self.items = self.users.round(), self.items.round()

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.users, self.items


def rows(lists: Sequence[Sequence[int]]) -> CSR:
    users = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
    return CSR.from_pairs(users, np.array([item for row in lists for item in row], dtype=np.int64), len(lists))


def random_rows(n_users: int, n_items: int, n_pairs: int, seed: int) -> CSR:
    rng = np.random.default_rng(seed)
    return CSR.from_pairs(rng.integers(0, n_users, n_pairs), rng.integers(0, n_items, n_pairs), n_users)


def rank(
    model: Any, seen: CSR, relevant: CSR, n_items: int, metrics: Sequence[MetricName] = ALL, **more: Any
) -> RankingResult:
    return evaluate_ranking(model, seen=seen, relevant=relevant, n_items=n_items, metrics=metrics, device="cpu", **more)


def oracle(scores: np.ndarray, seen: CSR, relevant: CSR, metrics: Sequence[MetricName]) -> dict[str, float]:
    """Rank user by user with Python's sort, and average the kernels, which have oracles of their own."""
    n_items = scores.shape[1]
    per_user: dict[MetricName, list[float]] = {metric: [] for metric in metrics}
    shown = {metric: np.zeros(n_items, dtype=np.int64) for metric in metrics}
    for user in range(len(scores)):
        wanted, hidden, row = set(relevant.row(user).tolist()), set(seen.row(user).tolist()), scores[user].tolist()
        if not wanted:
            continue
        unseen = [item for item in range(n_items) if item not in hidden]
        ranked = sorted((item for item in unseen if row[item] != -math.inf), key=lambda item: (-row[item], item))
        hits = np.array([[item in wanted for item in ranked] or [False]])
        found, others = [i for i in unseen if i in wanted], [i for i in ranked if i not in wanted]
        wins = sum((row[i] > row[j]) + (row[i] == row[j]) / 2 for i in found for j in others)
        for metric in metrics:
            if metric.name == "auc":
                per_user[metric] += area_under_curve(
                    np.array([wins]), np.array([len(found)]), np.array([len(others)])
                ).tolist()
            elif metric in BEYOND:
                shown[metric][ranked[: metric.k]] += 1
            else:
                per_user[metric] += METRICS.get(metric.name)(hits, np.array([len(wanted)]), metric.k).tolist()
    popularity = np.bincount(seen.indices, minlength=n_items)
    return {
        str(metric): METRICS.get(metric.name)(shown[metric], popularity, len(scores))
        if metric in BEYOND
        else float(np.nanmean(values))
        if not np.isnan(values).all()
        else math.nan
        for metric, values in per_user.items()
    }


def test_a_ranking_worked_by_hand() -> None:
    # User 0 has seen item 0 and ranks 3 1 2 4, user 1 ranks 1 3 0 2 4 with a tie of 1 and 3, user 2 looks for nothing.
    model = Scored([[9, 5, 4, 6, 1], [3, 7, 2, 7, 1], [0, 0, 0, 0, 0]])
    metrics = [parse_monitor(name) for name in ("recall@2", "mrr@2", "ndcg@2", "auc")]
    result = rank(model, rows([[0], [], []]), rows([[1, 4], [3], []]), 5, metrics)
    assert (result.n_users, result.n_skipped) == (2, 1)
    ndcg = [(1 / math.log2(3)) / (1 + 1 / math.log2(3)), 1 / math.log2(3)]
    # Pairs of user 0: 1 > 2, 1 < 3, 4 < 2, 4 < 3; of user 1: three wins and a tie out of four.
    expected = {"recall@2": (1 / 2 + 1) / 2, "mrr@2": 1 / 2, "ndcg@2": sum(ndcg) / 2, "auc": (1 / 4 + 3.5 / 4) / 2}
    assert result.values == pytest.approx(expected, rel=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    n_users=st.integers(1, 9),
    n_items=st.integers(1, 40),
    n_values=st.integers(1, 30),
    n_seen=st.integers(0, 120),
    n_relevant=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_every_metric_equals_the_oracle_on_ties_empty_users_and_few_items(
    n_users: int, n_items: int, n_values: int, n_seen: int, n_relevant: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.append(rng.normal(size=n_values), [-np.inf, np.inf]), (n_users, n_items)).astype(np.float32)
    seen = random_rows(n_users, n_items, n_seen, seed)
    relevant = random_rows(n_users, n_items, n_relevant, seed + 1)
    result = rank(Scored(scores), seen, relevant, n_items)
    assert result.values == pytest.approx(oracle(scores, seen, relevant, ALL), nan_ok=True, abs=1e-12)
    assert result.n_users == np.count_nonzero(relevant.lengths)
    assert result.n_skipped == n_users - result.n_users


def test_vectors_are_ranked_like_their_products() -> None:
    model = Factors(150, 700)
    seen, relevant = random_rows(150, 700, 3000, 1), random_rows(150, 700, 900, 2)
    products = (model.users @ model.items.T).numpy()
    result = rank(model, seen, relevant, 700)
    assert result.values == pytest.approx(oracle(products, seen, relevant, ALL), rel=1e-12)
    assert result == rank(Scored(products), seen, relevant, 700)


@pytest.mark.parametrize("whole", [True, False])
def test_no_number_depends_on_memory_or_threads(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_tiles, "PIECE", 256)
    model = Factors(500, 1500, 16, whole=whole)
    seen, relevant = random_rows(500, 1500, 9000, 3), random_rows(500, 1500, 2500, 4)
    results = []
    n_threads = torch.get_num_threads()
    try:
        for threads, memory, pieces in ((1, 512, 4), (1, 512, 1), (1, 512, 3), (2, 512, 4), (3, 512, 2), (2, 1, 4)):
            torch.set_num_threads(threads)
            monkeypatch.setattr(score_tiles, "_MAX_PIECES", pieces)
            results.append(rank(model, seen, relevant, 1500, memory_mb=memory))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(n_threads)
    assert all(result == results[0] for result in results)


def test_no_number_depends_on_which_others_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "SUMMED", 32)
    monkeypatch.setattr(per_user, "SUMMED", 32)
    monkeypatch.setattr(ranking, "_PLACES", 32 * 20)
    model = Factors(300, 400, whole=False)
    seen, relevant = random_rows(300, 400, 3000, 5), random_rows(300, 400, 900, 6)
    together = rank(model, seen, relevant, 400).values
    for metric in ALL:
        assert rank(model, seen, relevant, 400, [metric]).values == {str(metric): together[str(metric)]}


def test_a_model_that_scores_rows_gives_the_same_numbers_for_any_memory() -> None:
    scores = np.random.default_rng(0).normal(size=(300, 5000)).round(2)
    seen, relevant = random_rows(300, 5000, 3000, 5), random_rows(300, 5000, 900, 6)
    assert rank(Scored(scores), seen, relevant, 5000) == rank(Scored(scores), seen, relevant, 5000, memory_mb=1)


def test_seen_items_never_appear_and_missing_ones_count_as_misses() -> None:
    model = Scored(np.tile(np.arange(4.0), (2, 1)))
    result = rank(model, rows([[0, 1, 2, 3], [1, 2, 3]]), rows([[3], [0]]), 4, [parse_monitor("precision@2")])
    assert result.values == {"precision@2": (0 + 1 / 2) / 2}


def test_an_item_that_is_seen_and_relevant_is_a_miss_and_left_out_of_the_area() -> None:
    metrics = [parse_monitor("recall@3"), parse_monitor("auc")]
    result = rank(Scored([[3.0, 2.0, 1.0]]), rows([[0]]), rows([[0, 2]]), 3, metrics)
    assert result.values == {"recall@3": 0.5, "auc": 0.0}


def test_users_for_whom_the_area_is_not_defined_are_left_out_of_it() -> None:
    metrics = [parse_monitor("auc"), parse_monitor("recall@1")]
    result = rank(Scored([[1.0, 2.0], [1.0, 2.0]]), rows([[], []]), rows([[0, 1], [1]]), 2, metrics)
    assert result.values == {"auc": 1.0, "recall@1": (0.5 + 1) / 2}


def test_without_users_to_rank_the_metrics_are_not_defined() -> None:
    result = rank(Scored(np.zeros((3, 4))), rows([[]] * 3), rows([[]] * 3), 4)
    assert (result.n_users, result.n_skipped) == (0, 3)
    assert all(math.isnan(value) for name, value in result.values.items() if name != "coverage@3")


@pytest.mark.parametrize(
    "make", [lambda scores: Scored(scores), lambda scores: _factored(scores)], ids=["score", "vectors"]
)
def test_a_score_that_is_nan_stops_and_names_user_and_item(make: Any) -> None:
    scores = np.zeros((200, 2000), dtype=np.float32)
    scores[150, 1234] = np.nan
    relevant = rows([[0]] * 200)
    with pytest.raises(TrainingError, match=r"user 150 .*is NaN"):
        rank(make(scores), rows([[]] * 200), relevant, 2000, [parse_monitor("recall@5")])


def _factored(scores: np.ndarray) -> Factors:
    model = Factors(*scores.shape)
    model.users[np.isnan(scores).any(axis=1)] = math.nan
    return model


def test_the_number_of_threads_is_restored_after_a_failure() -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = Factors(100, 100)
        model.items[5] = math.nan
        with pytest.raises(TrainingError):
            rank(model, rows([[]] * 100), rows([[1]] * 100), 100)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_counts_every_ranked_user_once_and_may_stop_the_work(threads: int) -> None:
    calls: list[tuple[int, int]] = []
    n_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        arguments = (Factors(300, 50), rows([[]] * 300), rows([[1]] * 250 + [[]] * 50), 50)
        rank(*arguments, progress=lambda done, total: calls.append((done, total)))

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            rank(*arguments, progress=stop)
    finally:
        torch.set_num_threads(n_threads)
    done = [call[0] for call in calls]
    assert done == sorted(set(done))
    assert calls[-1] == (250, 250)


def test_a_model_with_parameters_is_ranked_without_gradients() -> None:
    class Learned(torch.nn.Module):
        def __init__(self, with_vectors: bool) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(30, 5))
            self.with_vectors = with_vectors

        def vectors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
            return (self.weight * 2, self.weight) if self.with_vectors else None

        def score(self, users: torch.Tensor) -> torch.Tensor:
            return self.weight[users] @ self.weight.T

    for with_vectors in (True, False):
        model = Learned(with_vectors)
        rank(model, rows([[]] * 30), rows([[1]] * 30), 30)
        assert model.weight.grad is None


@pytest.mark.parametrize("name", ["mse", "logloss", "gauc", "loss"])
def test_a_metric_of_given_pairs_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not a metric of rankings"):
        rank(Factors(2, 3), rows([[]] * 2), rows([[1]] * 2), 3, [MetricName(name)])


def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="seen has 1 users and relevant 2"):
        rank(Factors(2, 3), rows([[]]), rows([[1], [1]]), 3)
    with pytest.raises(DataError, match="relevant holds item 3; items are numbered from 0 to 2"):
        rank(Factors(2, 3), rows([[], []]), rows([[3], [1]]), 3)


def test_scores_in_double_precision_are_not_rounded() -> None:
    doubles = torch.tensor([[1.0, 1.0 + 1e-12]], dtype=torch.float64)
    factors, scored = Factors(1, 2), Scored([[0.0, 0.0]])
    factors.users, factors.items, scored.scores = torch.ones(1, 1).double(), doubles.T, doubles
    for model in (factors, scored):
        assert rank(model, rows([[]]), rows([[1]]), 2, [parse_monitor("mrr@2")]).values == {"mrr@2": 1.0}


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_a_model_that_scores_by_counts_is_ranked_by_their_exact_values(dtype: torch.dtype) -> None:
    rng = np.random.default_rng(4)
    highest = 1 if dtype == torch.bool else min(torch.iinfo(dtype).max, 2**53)
    scores = highest - rng.integers(0, min(9, highest + 1), (20, 30))
    seen, relevant = random_rows(20, 30, 100, 1), random_rows(20, 30, 60, 2)
    model = Scored(scores.astype(np.float64))
    model.scores = torch.from_numpy(scores).to(dtype)
    expected = oracle(scores.astype(np.float64), seen, relevant, ALL)
    assert rank(model, seen, relevant, 30).values == pytest.approx(expected, abs=1e-12)


def test_vectors_of_integers_have_exact_products() -> None:
    class Counts:
        def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.tensor([[2**13, 1]], dtype=torch.int32), torch.tensor([[2**13, 0], [2**13, 1]])

    values = rank(Counts(), CSR.empty(1), rows([[1]]), 2, [parse_monitor("mrr@1"), parse_monitor("auc")]).values
    assert values == {"mrr@1": 1.0, "auc": 1.0}


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.tensor([[2**53 + 1, 0]]), r"score\(\) cannot be ranked: scores must be integers from -2\^53 to 2\^53"),
        (torch.tensor([[-(2**60), 0]]), r"score\(\) cannot be ranked: .* found -1152921504606846976$"),
        (torch.ones(1, 2, dtype=torch.complex64), r"score\(\) cannot be ranked: scores must be real numbers"),
        (torch.ones(1, 3), r"score\(\) must return one score per user and item, of shape \(1, 2\)"),
        (torch.ones(2), r"score\(\) must return one score per user and item, of shape \(1, 2\)"),
    ],
)
def test_scores_without_an_exact_order_are_refused(scores: torch.Tensor, message: str) -> None:
    model = Scored([[0.0, 0.0]])
    model.scores = scores
    model.score = lambda users: scores  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=message):
        rank(model, CSR.empty(1), rows([[1]]), 2, [parse_monitor("recall@1")])


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [
        (torch.full((1, 2), 2**30), torch.full((2, 2), 2**24), r"may lie beyond 2\^53"),
        (torch.ones(1, 2, dtype=torch.complex64), torch.ones(2, 2), "must return real numbers, found torch.complex64"),
        (torch.ones(1, 2), torch.ones(3, 2), r"must return tensors of shape \(1, D\) and \(2, D\)"),
    ],
)
def test_vectors_without_exact_products_are_refused(users: torch.Tensor, items: torch.Tensor, message: str) -> None:
    class Model:
        def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
            return users, items

    with pytest.raises(TrainingError, match=message):
        rank(Model(), CSR.empty(1), rows([[1]]), 2, [parse_monitor("recall@1")])


def test_blocks_whose_scores_are_of_different_types_are_ranked_alike() -> None:
    class Changing:
        def score(self, users: torch.Tensor) -> torch.Tensor:
            scores = torch.tensor([[2**25, 2**25 + 1]]).repeat(len(users), 1)
            return scores if users[0] >= score_tiles._SCORE_ROWS else torch.tensor([[0.25, 0.5]]).repeat(len(users), 1)

    n_users = 2 * score_tiles._SCORE_ROWS
    metrics = [parse_monitor("mrr@1"), parse_monitor("auc")]
    values = rank(Changing(), CSR.empty(n_users), rows([[1]] * n_users), 2, metrics).values
    assert values == {"mrr@1": 1.0, "auc": 1.0}


@pytest.mark.parametrize("cutoff", [10**6, 999_999_999])
def test_a_huge_cutoff_takes_no_memory(cutoff: int) -> None:
    model = Scored([[3.0, 2.0, 1.0]])
    names = [parse_monitor(f"{name}@{cutoff}") for name in ("recall", "precision", "ndcg", "map", "mrr", "f1")]
    small = rank(model, CSR.empty(1), rows([[0, 2]]), 3, [parse_monitor(f"{name.name}@3") for name in names]).values
    values = rank(model, CSR.empty(1), rows([[0, 2]]), 3, names).values
    for name in ("recall", "ndcg", "map", "mrr"):
        assert values[f"{name}@{cutoff}"] == small[f"{name}@3"]
    assert values[f"precision@{cutoff}"] == 2 / cutoff
