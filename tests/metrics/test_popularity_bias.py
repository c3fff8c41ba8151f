"""Popularity bias and accuracy corrected for it: numbers worked by hand, and plain oracles."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.metrics.undefined import Undefined
from tests.metrics.lists_by_hand import Case, cases, mean, measure


def holding(case: Case, percent: int) -> set[int]:
    """Return the fewest items, the most popular first, that hold a share of the interactions."""
    popularity = case.popularity
    ordered = sorted(range(case.n_items), key=lambda item: (-popularity[item], item))
    held, found = 0, set()
    for item in ordered:
        if held * 100 >= percent * sum(popularity):
            break
        found.add(item)
        held += popularity[item]
    return found


def category(case: Case, item: int) -> str:
    if item in holding(case, 20):
        return "head"
    return "middle" if item in holding(case, 80) else "tail"


def aplt(case: Case, user: int, k: int) -> float | None:
    ranked = case.ranked(user)[:k]
    head = holding(case, 80)
    return sum(item not in head for item in ranked) / len(ranked) if ranked else None


def poplift(case: Case, user: int, k: int) -> float | None:
    ranked, seen, popularity = case.ranked(user)[:k], case.seen[user], case.popularity
    if not ranked or not seen:
        return None
    profile = sum(popularity[item] for item in seen) / len(seen)
    return (sum(popularity[item] for item in ranked) / len(ranked) - profile) / profile


def miscalibration(case: Case, user: int, k: int) -> float | None:
    ranked, seen = case.ranked(user)[:k], case.seen[user]
    if not ranked or not seen:
        return None
    total = 0.0
    for name in ("head", "middle", "tail"):
        p, q = (sum(category(case, item) == name for item in items) / len(items) for items in (seen, ranked))
        total += p * math.log(p / (0.99 * q + 0.01 * p)) if p else 0.0
    return total


def weight(case: Case, item: int) -> float:
    return float(max(case.popularity[item], 1) ** -1.25)


def ips_recall(case: Case, user: int, k: int) -> float:
    relevant = case.relevant[user]
    found = sum(weight(case, item) for item in case.ranked(user)[:k] if item in relevant)
    return found / sum(weight(case, item) for item in relevant)


def ips_ndcg(case: Case, user: int, k: int) -> float:
    relevant = case.relevant[user]
    gain = sum(
        weight(case, item) / math.log2(rank + 1)
        for rank, item in enumerate(case.ranked(user)[:k], 1)
        if item in relevant
    )
    best = sorted((weight(case, item) for item in relevant), reverse=True)[:k]
    return gain / sum(each / math.log2(rank + 1) for rank, each in enumerate(best, 1))


ORACLES = {each.__name__: each for each in (aplt, poplift, miscalibration, ips_recall, ips_ndcg)}


@pytest.mark.parametrize("name", ORACLES)
def test_metrics_equal_their_oracles(name: str) -> None:
    oracle: Callable[[Case, int, int], float | None] = ORACLES[name]

    @settings(max_examples=250, deadline=None)
    @given(case=cases(), k=st.integers(1, 11))
    def compare(case: Case, k: int) -> None:
        found = measure(case, f"{name}@{k}")[f"{name}@{k}"]
        assert found == pytest.approx(mean(case, oracle, k), nan_ok=True, abs=1e-12)

    compare()


# Of ten interactions item 0 has 4, item 1 has 3, item 2 has 2, item 3 has 1, item 4 none.
SEEN = [[0, 1, 2], [0, 1, 2, 3], [0, 1], [0]]


def test_the_long_tail_is_all_but_the_most_popular_items_with_four_fifths_of_the_interactions() -> None:
    # 4 + 3 are 70 % of ten interactions, 4 + 3 + 2 are 90 %: items 3 and 4 are the long tail.
    case = Case([[5.0, 4.0, 3.0, 2.0, 1.0]] * 4, SEEN, [[3], [4], [2], [1]])
    # Lists of two: [3 4], [4], [2 3], [1 2].
    assert measure(case, "aplt@2")["aplt@2"] == pytest.approx((1 + 1 + 1 / 2 + 0) / 4)


def test_popularity_lift_is_relative_to_what_the_user_has_seen() -> None:
    case = Case([[5.0, 4.0, 3.0, 2.0, 1.0]] * 4, SEEN, [[], [], [2], [1]])
    # User 2 has seen 4 and 3, and is shown 2; user 3 has seen 4, and is shown 3.
    assert measure(case, "poplift@1")["poplift@1"] == pytest.approx(((2 - 3.5) / 3.5 + (3 - 4) / 4) / 2)


def test_a_list_with_the_shares_of_the_profile_is_calibrated() -> None:
    # Both profile and list of user 0 are one item of the head and one of the tail.
    seen = [[0, 4], [1], [0, 1], [0, 1]]
    case = Case([[0.0, 9.0, 0.0, 8.0, 0.0]] * 4, seen, [[3], [], [], []])
    popularity = case.popularity
    assert popularity == [3, 3, 0, 0, 1]
    assert [category(case, item) for item in range(5)] == ["head", "middle", "tail", "tail", "tail"]
    # The profile is half head, half tail, the list half middle, half tail.
    expected = 0.5 * math.log(0.5 / 0.005) + 0.5 * math.log(0.5 / (0.99 * 0.5 + 0.005))
    assert measure(case, "miscalibration@2")["miscalibration@2"] == pytest.approx(expected)
    same = Case([[0.0, 0.0, 9.0, 0.0, 0.0]] * 4, [[4], [1], [0, 1], [0, 1]], [[2], [], [], []])
    assert measure(same, "miscalibration@1")["miscalibration@1"] == 0.0


def test_a_hit_on_an_unpopular_item_counts_for_more() -> None:
    case = Case([[5.0, 1.0, 4.0, 3.0, 2.0]] * 4, SEEN, [[], [], [], [1, 3]])
    # Items 1 and 3 have popularity 3 and 1, hence weights 3^-1.25 and 1; user 3's list is 2 3 4 1.
    heavy, light = 1.0, 3**-1.25
    found = measure(case, "ips_recall@2", "ips_ndcg@2", "ips_recall@4")
    assert found["ips_recall@2"] == pytest.approx(heavy / (heavy + light))
    assert found["ips_ndcg@2"] == pytest.approx((heavy / math.log2(3)) / (heavy + light / math.log2(3)))
    assert found["ips_recall@4"] == 1.0


@given(case=cases(), k=st.integers(1, 11))
def test_with_equal_popularity_they_are_recall_and_ndcg(case: Case, k: int) -> None:
    unseen = case._replace(seen=[[] for _ in case.seen])
    found = measure(unseen, f"recall@{k}", f"ndcg@{k}", f"ips_recall@{k}", f"ips_ndcg@{k}")
    assert found[f"ips_recall@{k}"] == pytest.approx(found[f"recall@{k}"], nan_ok=True)
    assert found[f"ips_ndcg@{k}"] == pytest.approx(found[f"ndcg@{k}"], nan_ok=True)


@pytest.mark.parametrize("name", ["aplt", "poplift", "miscalibration"])
def test_without_any_list_they_are_undefined(name: str) -> None:
    found = measure(Case([[1.0, 2.0]], [[0, 1]], [[0]]), f"{name}@2")[f"{name}@2"]
    assert isinstance(found, Undefined)
    assert found.reason == "no user has enough recommended and seen items for it"


def test_a_users_interest_in_popular_items_is_better_met_by_smaller_values() -> None:
    directions = {name: smaller_is_better(parse_monitor(f"{name}@5")) for name in ORACLES}
    assert directions == {
        "aplt": False,
        "poplift": True,
        "miscalibration": True,
        "ips_recall": False,
        "ips_ndcg": False,
    }
