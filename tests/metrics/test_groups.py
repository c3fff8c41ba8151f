"""Break-downs by groups, against plain Python; and that they change no other number."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.evaluation import ranking
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics.groups import MISSING, Grouping, gaps
from recrun.registry import METRICS
from tests.metrics.lists_by_hand import Case, Scored, cases, rows

METRICS_OF_HITS = ["recall", "precision", "ndcg", "map", "mrr"]
MONITORS = [f"{name}@{k}" for name in METRICS_OF_HITS for k in (1, 3)]
OTHERS = ["auc", "diversity@3", "coverage@3", "serendipity@2"]


def broken_down(case: Case, groupings: list[Grouping], metrics: list[str]) -> Any:
    arguments: dict[str, Any] = {"seen": rows(case.seen), "relevant": rows(case.relevant), "n_items": case.n_items}
    return evaluate_ranking(Scored(case.scores), metrics=metrics, device="cpu", groupings=groupings, **arguments)


def grouping(of: Any, *members: list[int]) -> Grouping:
    labels = tuple("abcdefgh"[: len(members)])
    return Grouping(f"{of}s", of, labels, tuple(np.array(each, dtype=np.int64) for each in members))


def kernel(name: str, hits: list[bool], n_relevant: int, k: int) -> float:
    return float(METRICS.get(name)(np.array([hits or [False]]), np.array([n_relevant]), k)[0])


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def of_users(case: Case, members: list[int], name: str, k: int) -> float | None:
    found = []
    for user in case.users():
        if user in members:
            hits = [item in case.relevant[user] for item in case.ranked(user)]
            found.append(kernel(name, hits, len(case.relevant[user]), k))
    return mean(found)


def of_items(case: Case, members: list[int], name: str, k: int) -> float | None:
    found = []
    for user in case.users():
        relevant = [item for item in case.relevant[user] if item in members]
        if relevant:
            found.append(kernel(name, [item in relevant for item in case.ranked(user)], len(relevant), k))
    return mean(found)


@settings(max_examples=150, deadline=None)
@given(case=cases(), data=st.data())
def test_each_group_equals_the_oracle(case: Case, data: st.DataObject) -> None:
    some_users = st.lists(st.integers(0, len(case.seen) - 1), unique=True).map(sorted)
    some_items = st.lists(st.integers(0, case.n_items - 1), unique=True).map(sorted)
    users = data.draw(st.lists(some_users, min_size=1, max_size=3))
    items = data.draw(st.lists(some_items, min_size=1, max_size=3))
    found = broken_down(case, [grouping("user", *users), grouping("item", *items)], MONITORS).groups
    for members, group in zip(users, found["users"]["groups"], strict=True):
        assert group["users"] == sum(user in members for user in case.users())
        for name, k in itertools.product(METRICS_OF_HITS, (1, 3)):
            assert group["metrics"][f"{name}@{k}"] == pytest.approx(of_users(case, members, name, k))
    for members, group in zip(items, found["items"]["groups"], strict=True):
        assert group["items"] == len(members)
        assert group["users"] == sum(any(item in members for item in case.relevant[user]) for user in case.users())
        for name, k in itertools.product(METRICS_OF_HITS, (1, 3)):
            assert group["metrics"][f"{name}@{k}"] == pytest.approx(of_items(case, members, name, k))
        shown = [item in members for user in case.users() for item in case.ranked(user)[:3]]
        assert group["metrics"]["exposure@3"] == (sum(shown) / len(shown) if shown else None)


@settings(max_examples=50, deadline=None)
@given(case=cases())
def test_they_change_no_number_and_a_group_of_all_has_the_whole_mean(case: Case) -> None:
    everyone = [grouping("user", list(range(len(case.seen)))), grouping("item", list(range(case.n_items)))]
    alone = broken_down(case, [], [*MONITORS, *OTHERS])
    beside = broken_down(case, everyone, [*MONITORS, *OTHERS])
    assert list(map(repr, beside.values.values())) == list(map(repr, alone.values.values()))
    assert (alone.groups, alone.per_user, beside.per_user) == (None, None, None)
    for name, value in beside.values.items():
        expected = None if math.isnan(value) else value
        if name != "coverage@3":
            assert beside.groups["users"]["groups"][0]["metrics"][name] == expected
        if name in MONITORS:
            assert beside.groups["items"]["groups"][0]["metrics"][name] == expected


def test_metrics_that_are_not_of_hits_are_not_broken_down_by_items() -> None:
    case = Case([[3.0, 2.0, 1.0]] * 2, [[], [0]], [[0], [1]])
    found = broken_down(case, [grouping("item", [0, 1], [2])], ["recall@2", *OTHERS]).groups["items"]
    assert [list(group["metrics"]) for group in found["groups"]] == [["recall@2", "exposure@2", "exposure@3"]] * 2
    assert found["groups"][1] == {
        "group": "b",
        "items": 1,
        "users": 0,
        "metrics": {"recall@2": None, "exposure@2": 1 / 4, "exposure@3": 2 / 5},
    }


def test_a_breakdown_does_not_depend_on_how_many_users_are_ranked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    n_users, n_items = 3000, 20
    case = Case(
        rng.integers(0, 5, (n_users, n_items)).astype(float).tolist(),
        [sorted(rng.choice(n_items, 3, replace=False).tolist()) for _ in range(n_users)],
        [sorted(rng.choice(n_items, 2, replace=False).tolist()) for _ in range(n_users)],
    )
    groupings = [grouping("user", list(range(0, n_users, 3))), grouping("item", list(range(9)))]
    whole = broken_down(case, groupings, ["ndcg@5", "recall@5"]).groups
    monkeypatch.setattr(ranking, "_PLACES", 1024 * 5)
    assert broken_down(case, groupings, ["ndcg@5", "recall@5"]).groups == whole


def test_among_candidates_groups_are_of_what_is_ranked() -> None:
    case = Case([[4.0, 3.0, 2.0, 1.0]] * 2, [[], []], [[2], [3]])
    candidates = rows([[1, 2], [0, 3]])
    arguments: dict[str, Any] = {"seen": rows(case.seen), "relevant": rows(case.relevant), "n_items": 4}
    groupings = [grouping("item", [0, 1], [2, 3]), grouping("user", [0], [1])]
    found = evaluate_ranking(
        Scored(case.scores),
        metrics=["mrr@2"],
        device="cpu",
        groupings=groupings,
        candidates=candidates,
        **arguments,
    ).groups
    assert found is not None
    assert [each["metrics"]["exposure@2"] for each in found["items"]["groups"]] == [0.5, 0.5]
    assert [each["metrics"]["mrr@2"] for each in found["items"]["groups"]] == [None, 0.5]
    assert [each["metrics"]["mrr@2"] for each in found["users"]["groups"]] == [0.5, 0.5]


def group(name: str, **metrics: float | None) -> dict[str, Any]:
    return {"group": name, "metrics": metrics}


def test_gaps_are_those_worked_by_hand() -> None:
    found = gaps([group("a", recall=0.2), group("b", recall=0.5), group("c", recall=0.3), group(MISSING, recall=9.0)])
    assert found["recall"] == {
        "difference": pytest.approx(0.3),
        "ratio": pytest.approx(0.4),
        "mean_difference": pytest.approx((0.3 + 0.1 + 0.2) / 3),
        "gini": pytest.approx(2 * (0.3 + 0.1 + 0.2) / (2 * 3 * 1.0)),
    }


def test_gaps_of_equal_groups_are_zero_and_their_ratio_is_one() -> None:
    found = gaps([group("a", recall=0.25), group("b", recall=0.25)])["recall"]
    assert found == {"difference": 0.0, "ratio": 1.0, "mean_difference": 0.0, "gini": 0.0}


def test_gaps_that_mean_nothing_are_none_and_groups_without_a_value_do_not_count() -> None:
    found = gaps([group("a", lift=-0.5, recall=0.0, auc=None), group("b", lift=1.0, recall=0.0, auc=0.5)])
    assert found["lift"] == {"difference": 1.5, "ratio": None, "mean_difference": 1.5, "gini": None}
    assert found["recall"] == {"difference": 0.0, "ratio": None, "mean_difference": 0.0, "gini": None}
    assert "auc" not in found


@given(values=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=2, max_size=8))
def test_gaps_equal_the_plain_sums_over_pairs(values: list[float]) -> None:
    found = gaps([group("abcdefgh"[i], x=value) for i, value in enumerate(values)])["x"]
    pairs = [abs(one - other) for one, other in itertools.combinations(values, 2)]
    assert found["mean_difference"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)
    if sum(values) > 1e-6:
        assert found["gini"] == pytest.approx(2 * sum(pairs) / (2 * len(values) * sum(values)), abs=1e-9)
