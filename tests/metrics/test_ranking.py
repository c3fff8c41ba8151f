"""Metric kernels: numbers worked by hand, plain oracles, and ranx."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.monitor_names import kind_of, parse_monitor, smaller_is_better
from recrun.metrics import pointwise_metrics
from recrun.registry import METRICS

RANKING = ("recall", "capped_recall", "precision", "hitrate", "f1", "ndcg", "mrr", "map")
OTHERS = ("auc", "coverage", "gini", "novelty", "popularity", "mae", "mse", "rmse", "logloss", "gauc")
# Ranked: x . x . . with 3 relevant items, one of which is not ranked at all.
HITS = np.array([[True, False, True, False, False]])
N_RELEVANT = np.array([3])


def value(name: str, hits: np.ndarray, n_relevant: np.ndarray, k: int) -> float:
    (result,) = METRICS.get(name)(hits, n_relevant, k)
    return float(result)


def oracle(hits: list[bool], n_relevant: int, k: int) -> dict[str, float]:
    """Compute every ranking metric of one user in plain Python, rank by rank."""
    n_hits, precisions, gain, first = 0, 0.0, 0.0, 0.0
    for rank, hit in enumerate(hits[:k], start=1):
        if hit:
            n_hits += 1
            precisions += n_hits / rank
            gain += 1 / math.log2(rank + 1)
            first = first or 1 / rank
    precision, recall = n_hits / k, n_hits / n_relevant
    return {
        "recall": recall,
        "capped_recall": n_hits / min(n_relevant, k),
        "precision": precision,
        "hitrate": float(n_hits > 0),
        "f1": 2 * precision * recall / (precision + recall) if n_hits else 0.0,
        "ndcg": gain / sum(1 / math.log2(rank + 1) for rank in range(1, min(n_relevant, k) + 1)),
        "mrr": first,
        "map": precisions / min(n_relevant, k),
    }


@pytest.mark.parametrize(
    ("name", "k", "expected"),
    [
        ("recall", 3, 2 / 3),
        ("recall", 1, 1 / 3),
        ("capped_recall", 3, 2 / 3),
        ("capped_recall", 1, 1.0),
        ("capped_recall", 2, 1 / 2),
        ("precision", 3, 2 / 3),
        ("precision", 10, 2 / 10),
        ("hitrate", 1, 1.0),
        ("f1", 5, 2 * (2 / 5) * (2 / 3) / (2 / 5 + 2 / 3)),
        ("ndcg", 3, (1 + 0.5) / (1 + 1 / math.log2(3) + 0.5)),
        ("ndcg", 2, 1 / (1 + 1 / math.log2(3))),
        ("mrr", 5, 1.0),
        ("map", 3, (1 + 2 / 3) / 3),
        ("map", 2, 1 / 2),
        ("map", 20, (1 + 2 / 3) / 3),
    ],
)
def test_values_worked_by_hand(name: str, k: int, expected: float) -> None:
    assert value(name, HITS, N_RELEVANT, k) == pytest.approx(expected, rel=1e-15)


def test_the_first_hit_at_rank_four_has_reciprocal_rank_one_quarter_and_none_within_three() -> None:
    hits = np.array([[False, False, False, True]])
    assert value("mrr", hits, np.array([1]), 4) == 0.25
    assert value("mrr", hits, np.array([1]), 3) == 0.0


@pytest.mark.parametrize("n_relevant", [1, 3, 7])
def test_a_perfect_ranking_scores_exactly_one(n_relevant: int) -> None:
    hits = np.arange(20)[None, :] < n_relevant
    for name in ("ndcg", "mrr", "map", "hitrate", "recall", "capped_recall"):
        assert value(name, hits, np.array([n_relevant]), 20) == 1.0, name


@pytest.mark.parametrize("name", RANKING)
def test_no_hits_score_zero(name: str) -> None:
    assert value(name, np.zeros((1, 5), dtype=bool), np.array([2]), 5) == 0.0


@settings(max_examples=200, deadline=None)
@given(
    hits=st.lists(st.booleans(), min_size=1, max_size=12),
    missed=st.integers(0, 15),
    k=st.integers(1, 15),
)
def test_ranking_metrics_equal_the_oracle(hits: list[bool], missed: int, k: int) -> None:
    n_relevant = max(1, sum(hits) + missed)
    for name, expected in oracle(hits, n_relevant, k).items():
        assert value(name, np.array([hits]), np.array([n_relevant]), k) == pytest.approx(expected, abs=1e-14), name


@given(hits=st.lists(st.booleans(), min_size=1, max_size=12), missed=st.integers(0, 15), k=st.integers(1, 15))
def test_ranking_metrics_lie_between_zero_and_one(hits: list[bool], missed: int, k: int) -> None:
    n_relevant = max(1, sum(hits) + missed)
    for name in RANKING:
        assert 0.0 <= value(name, np.array([hits]), np.array([n_relevant]), k) <= 1.0 + 1e-15, name


RANX = """
import json, sys
from ranx import Qrels, Run, evaluate
cases = json.load(sys.stdin)
qrels = Qrels({c["id"]: {str(i): 1 for i in c["relevant"]} for c in cases})
run = Run({c["id"]: {str(i): float(len(c["ranked"]) - r) for r, i in enumerate(c["ranked"])} for c in cases})
names = [f"{m}@{k}" for m in ("recall", "precision", "hit_rate", "f1", "ndcg", "mrr", "map") for k in (1, 5, 10)]
scores = evaluate(qrels, run, names, return_mean=False, make_comparable=False)
json.dump({"ids": list(run.keys()), "scores": {n: list(map(float, v)) for n, v in scores.items()}}, sys.stdout)
"""


def test_ranking_metrics_equal_those_of_ranx_on_a_thousand_random_cases() -> None:
    if importlib.util.find_spec("ranx") is None:
        pytest.skip("ranx is not installed (it is in the extra `dev`)")
    rng = np.random.default_rng(7)
    cases = []
    for number in range(1000):
        n_items = int(rng.integers(10, 30))
        n_relevant = int(rng.integers(1, 14))
        ranked = rng.permutation(n_items).tolist()
        relevant = rng.choice(n_items + 5, size=min(n_relevant, n_items), replace=False).tolist()
        cases.append({"id": f"q{number:04}", "ranked": ranked, "relevant": relevant})
    # Interpreted, its loops need a second; compiled, a minute of compilation.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "ignore", "-c", RANX]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, env=environment, check=True)
    theirs: dict[str, Any] = json.loads(done.stdout)
    assert theirs["ids"] == [case["id"] for case in cases]
    for name, expected in theirs["scores"].items():
        metric, _, cutoff = name.replace("hit_rate", "hitrate").partition("@")
        for case, other in zip(cases, expected, strict=True):
            hits = np.isin(case["ranked"], case["relevant"])[None, :]
            n_relevant = len(case["relevant"])
            ours = value(metric, hits, np.array([n_relevant]), int(cutoff))
            if metric == "map":  # ranx divides by all relevant items, recrun by those that k places can hold
                ours *= min(n_relevant, int(cutoff)) / n_relevant
            assert ours == pytest.approx(other, abs=1e-12), (name, case)


# --- beyond accuracy -------------------------------------------------------------------------------------------------


def exposure_value(name: str, exposure: list[int], popularity: list[int], n_users: int = 8) -> float:
    return float(METRICS.get(name)(np.array(exposure), np.array(popularity), n_users))


def test_coverage_is_the_share_of_items_that_anyone_is_shown() -> None:
    assert exposure_value("coverage", [3, 0, 1, 0], [0, 0, 0, 0]) == 0.5


def test_gini_is_zero_for_equal_exposure_and_nearly_one_for_a_single_item() -> None:
    assert exposure_value("gini", [2, 2, 2, 2], [0] * 4) == 0.0
    assert exposure_value("gini", [0, 0, 0, 8], [0] * 4) == 0.75
    # Sorted 1, 3: ((2 - 3) * 1 + (4 - 3) * 3) / (2 * 4)
    assert exposure_value("gini", [3, 1], [0, 0]) == 0.25


def test_gini_is_half_the_mean_absolute_difference_over_the_mean() -> None:
    exposure = np.random.default_rng(0).poisson(3.0, 50)
    expected = np.abs(exposure[:, None] - exposure[None, :]).mean() / (2 * exposure.mean())
    assert exposure_value("gini", exposure.tolist(), [0] * 50) == pytest.approx(expected)


def test_popularity_and_novelty_average_over_the_places() -> None:
    # Three places hold an item that 4 of 8 users met, one an item that 1 of 8 met.
    assert exposure_value("popularity", [3, 1, 0], [4, 1, 8]) == (3 * 4 + 1) / 4
    assert exposure_value("novelty", [3, 1, 0], [4, 1, 8]) == (3 * 1 + 3) / 4


def test_an_item_that_nobody_met_is_as_novel_as_one_that_one_user_met() -> None:
    assert exposure_value("novelty", [1], [0]) == exposure_value("novelty", [1], [1]) == 3.0


@pytest.mark.parametrize("name", ["gini", "popularity", "novelty"])
def test_without_recommendations_the_metrics_of_exposure_are_not_defined(name: str) -> None:
    assert math.isnan(exposure_value(name, [0, 0], [1, 1]))


# --- predictions one by one ------------------------------------------------------------------------------------------


def pointwise(name: str, preds: Any, targets: Any, groups: Any = None) -> float:
    metric = parse_monitor(name)
    groups = None if groups is None else np.asarray(groups)
    return pointwise_metrics(np.asarray(preds), np.asarray(targets), [metric], groups)[name]


def test_errors_worked_by_hand() -> None:
    assert pointwise("mae", [1.0, 4.0], [2.0, 2.0]) == 1.5
    assert pointwise("mse", [1.0, 4.0], [2.0, 2.0]) == 2.5
    assert pointwise("rmse", [1.0, 4.0], [2.0, 2.0]) == math.sqrt(2.5)
    assert pointwise("logloss", [0.5, 0.25], [1, 0]) == pytest.approx((math.log(2) - math.log(0.75)) / 2)


def test_single_precision_errors_are_summed_in_double_precision() -> None:
    preds = np.full(10_000_000, 0.1, dtype=np.float32)
    assert pointwise("mae", preds, np.zeros(len(preds), dtype=np.float32)) == pytest.approx(float(preds[0]), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logloss_of_a_certain_mistake_is_finite(dtype: type) -> None:
    loss = pointwise("logloss", np.array([1.0], dtype=dtype), np.array([0.0]))
    assert loss == pytest.approx(-math.log(np.finfo(dtype).eps), rel=1e-6)


@pytest.mark.parametrize("bad", [1.5, -0.1, math.inf, -math.inf])
def test_logloss_refuses_what_is_no_probability(bad: float) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        pointwise("logloss", [0.5, bad], [1, 0])


def grouped_oracle(preds: list[float], targets: list[int], groups: list[int]) -> float:
    total, weight = 0.0, 0
    for group in set(groups):
        rows = [i for i, g in enumerate(groups) if g == group]
        pairs = [(preds[i], preds[j]) for i in rows for j in rows if targets[i] and not targets[j]]
        if pairs:
            total += len(rows) * sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
            weight += len(rows)
    return total / weight if weight else math.nan


def test_gauc_weights_groups_by_their_size_and_leaves_one_sided_groups_out() -> None:
    # Group 0 of size 2 is in order (1), group 1 of size 3 has one tie of two pairs (3/4), group 2 has no negatives.
    preds, targets, groups = [2.0, 1.0, 5.0, 5.0, 3.0, 9.0], [1, 0, 1, 0, 0, 1], [0, 0, 1, 1, 1, 2]
    assert pointwise("gauc", preds, targets, groups) == (2 * 1 + 3 * 0.75) / 5


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(-3, 3)), min_size=0, max_size=30),
)
def test_gauc_equals_the_count_of_pairs(rows: list[tuple[int, int, int]]) -> None:
    preds, targets, groups = [float(r[0]) for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    expected = grouped_oracle(preds, targets, groups)
    assert pointwise("gauc", preds, targets, groups) == pytest.approx(expected, nan_ok=True)


def test_gauc_needs_groups() -> None:
    with pytest.raises(Exception, match="gauc needs the group"):
        pointwise("gauc", [1.0], [1])


# --- the registry ----------------------------------------------------------------------------------------------------


def test_every_metric_of_the_contract_is_registered() -> None:
    assert set(METRICS.names()) >= {*RANKING, *OTHERS}


def test_errors_are_better_when_smaller_and_rankings_when_larger() -> None:
    assert all(smaller_is_better(parse_monitor(name)) for name in ("mae", "mse", "rmse", "logloss"))
    assert not any(smaller_is_better(parse_monitor(f"{name}@10")) for name in RANKING)
    assert not smaller_is_better(parse_monitor("auc"))


@pytest.mark.parametrize("name", [*RANKING, *OTHERS])
def test_every_metric_says_what_it_is(name: str) -> None:
    component = METRICS.describe(name)
    assert component.doc.startswith("Return ")


def test_every_metric_is_in_the_docs(repository: Path) -> None:
    text = (repository / "docs" / "metrics.md").read_text(encoding="utf-8")
    for component in METRICS:
        label = f"{component.name}@k" if kind_of(component).traits.cutoff else component.name
        assert f"| `{label}` |" in text, label
