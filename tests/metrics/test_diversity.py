"""Diversity and serendipity: numbers worked by hand, and plain oracles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.monitor_names import parse_monitor
from recrun.errors import ConfigError
from recrun.metrics import diversity as module
from recrun.metrics.undefined import Undefined
from tests.metrics.lists_by_hand import Case, cases, mean, measure


def diversity(case: Case, user: int, k: int) -> float | None:
    ranked = case.ranked(user)[:k]
    met = [{u for u, seen in enumerate(case.seen) if item in seen} for item in range(case.n_items)]
    distances = []
    for one, other in itertools.combinations(ranked, 2):
        size = math.sqrt(len(met[one]) * len(met[other]))
        distances.append(1 - (len(met[one] & met[other]) / size if size else 0.0))
    return sum(distances) / len(distances) if distances else None


def serendipity(case: Case, user: int, k: int) -> float:
    popularity = case.popularity
    unseen = [item for item in range(case.n_items) if item not in case.seen[user]]
    obvious = sorted(unseen, key=lambda item: (-popularity[item], item))[:k]
    return sum(item in case.relevant[user] and item not in obvious for item in case.ranked(user)[:k]) / k


@settings(max_examples=300, deadline=None)
@given(case=cases(), k=st.integers(2, 11))
def test_diversity_equals_the_oracle(case: Case, k: int) -> None:
    assert measure(case, f"diversity@{k}")[f"diversity@{k}"] == pytest.approx(mean(case, diversity, k), nan_ok=True)


@settings(max_examples=300, deadline=None)
@given(case=cases(), k=st.integers(1, 11))
def test_serendipity_equals_the_oracle(case: Case, k: int) -> None:
    found = measure(case, f"serendipity@{k}")[f"serendipity@{k}"]
    assert found == pytest.approx(mean(case, serendipity, k), nan_ok=True)


def test_diversity_of_items_that_the_same_users_have_seen_is_zero_and_of_others_one() -> None:
    # Items 0 and 1 were seen by users 1 and 2, item 2 by user 3, item 3 by nobody.
    seen = [[], [0, 1], [0, 1], [2]]
    scores = [[4.0, 3.0, 2.0, 1.0]] * 4
    case = Case(scores, seen, [[0], [], [], []])
    found = measure(case, "diversity@2", "diversity@3", "diversity@4")
    assert found["diversity@2"] == pytest.approx(0.0, abs=1e-15)
    assert found["diversity@3"] == pytest.approx(2 / 3)
    assert found["diversity@4"] == pytest.approx(5 / 6)


def test_diversity_of_items_that_share_some_users_is_one_less_the_cosine() -> None:
    # Item 0 was seen by users 1, 2, 3 and 4, item 1 by user 1 alone: the cosine is 1 / sqrt(4 * 1).
    case = Case([[1.0, 0.0]] * 5, [[], [0, 1], [0], [0], [0]], [[1], [], [], [], []])
    assert measure(case, "diversity@2")["diversity@2"] == pytest.approx(0.5)


def test_diversity_does_not_depend_on_how_many_similarities_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    n_users, n_items = 40, 30
    some = [[item for item in range(n_items) if rng.random() < 0.3] for _ in range(2 * n_users)]
    case = Case(rng.random((n_users, n_items)).tolist(), some[:n_users], some[n_users:])
    whole = measure(case, "diversity@7")
    assert whole["diversity@7"] == pytest.approx(mean(case, diversity, 7))
    for kept in (1, 50, 200):
        monkeypatch.setattr(module, "_SIMILARITIES", kept)
        assert measure(case, "diversity@7") == whole


def test_lists_that_share_few_items_are_compared_apart_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    n_users, n_items = 24, 48
    scores = rng.random((n_users, n_items))
    for user in range(n_users):  # four groups of users, with items of their own
        scores[user, 12 * (user // 6) : 12 * (user // 6) + 12] += 1
    seen = [[item for item in range(n_items) if rng.random() < 0.2] for _ in range(n_users)]
    case = Case(scores.tolist(), seen, [[0]] * n_users)
    whole = measure(case, "diversity@5")
    assert whole["diversity@5"] == pytest.approx(mean(case, diversity, 5))
    calls = []
    compare = module._add_sums
    monkeypatch.setattr(module, "_add_sums", lambda *given: (calls.append(given[0].shape), compare(*given)))
    monkeypatch.setattr(module, "_SIMILARITIES", 400)
    assert measure(case, "diversity@5") == whole
    assert {shape[0] for shape in calls} < set(range(n_users))


def test_diversity_is_undefined_where_no_list_has_two_items() -> None:
    found = measure(Case([[1.0, 0.0, 0.0]], [[1, 2]], [[0]]), "diversity@3")["diversity@3"]
    assert isinstance(found, Undefined)
    assert found.reason == "no user has enough recommended and seen items for it"


def test_diversity_of_one_item_is_refused_with_the_name() -> None:
    with pytest.raises(ConfigError, match="the cutoff of diversity must be an integer >= 2, found '1'"):
        parse_monitor("diversity@1")


def test_a_hit_among_the_most_popular_unseen_items_is_not_serendipitous() -> None:
    # Items 0 and 1 are the most popular; user 3 has seen item 0, so the obvious two are items 1 and 2.
    seen = [[0, 1], [0, 1], [0, 2], [0]]
    case = Case([[0.0, 1.0, 2.0, 3.0]] * 4, seen, [[], [], [], [2, 3]])
    # Ranked for user 3: 3 2 1.
    found = measure(case, "serendipity@1", "serendipity@2", "serendipity@3")
    assert found == {"serendipity@1": 1.0, "serendipity@2": 0.5, "serendipity@3": 0.0}


def test_recommending_the_most_popular_items_is_never_serendipitous() -> None:
    seen = [[0, 1, 2], [0, 1], [0], []]
    case = Case([[3.0, 2.0, 1.0, 0.0]] * 4, seen, [[3], [2], [1], [0]])
    assert measure(case, "recall@1", "serendipity@1") == {"recall@1": 1.0, "serendipity@1": 0.0}
