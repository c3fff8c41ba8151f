"""The Pareto front: worked by hand, and against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recrun.sweep.pareto import pareto_front, pareto_points
from recrun.sweep.points import Point, Standing


def test_a_front_of_mixed_directions_worked_by_hand() -> None:
    ndcg_and_popularity = [(0.30, 9.0), (0.25, 4.0), (0.25, 5.0), (0.10, 3.0), (0.05, 3.5), (0.30, 9.5)]
    assert pareto_front(ndcg_and_popularity, [False, True]) == [0, 1, 3]
    assert pareto_front(ndcg_and_popularity, [False, False]) == [5]
    assert pareto_front(ndcg_and_popularity, [True, True]) == [3, 4]


def test_equal_points_stand_on_the_front_together() -> None:
    assert pareto_front([(1.0, 1.0), (0.0, 0.0), (1.0, 1.0)], [False, False]) == [0, 2]


def test_points_that_lack_a_value_are_left_out() -> None:
    assert pareto_front([None, (1.0, None), (float("nan"), 2.0), (0.5, 0.5)], [False, False]) == [3]
    assert pareto_front([], [False]) == []
    assert pareto_front([None], [False, False]) == []


def test_with_one_criterion_the_front_is_the_best_value() -> None:
    assert pareto_front([(0.1,), (0.3,), (0.2,), (0.3,)], [False]) == [1, 3]


@given(st.lists(st.tuples(*[st.integers(0, 4).map(float)] * 3), max_size=30), st.tuples(*[st.booleans()] * 3))
def test_the_front_holds_exactly_the_points_that_none_dominates(
    points: list[tuple[float, float, float]], smaller_is_better: tuple[bool, bool, bool]
) -> None:
    def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        better = [
            a < b if smaller else a > b for a, b, smaller in zip(one, other, smaller_is_better, strict=True) if a != b
        ]
        return bool(better) and all(better)

    wanted = [n for n, point in enumerate(points) if not any(dominates(other, point) for other in points)]
    assert pareto_front(points, smaller_is_better) == wanted


def test_the_front_of_each_value_of_the_data_is_its_own_and_leaves_unfinished_points_out() -> None:
    def point(data: str, number: int, ndcg: float, popularity: float, n_done: int = 1) -> Standing:
        means = {"ndcg@20": ndcg, "popularity@20": popularity}
        return Standing(Point({"lr": number}, {"dataset": data}, (number,)), n_done, means, {})

    standings = [
        point("a", 0, 0.3, 9.0),
        point("a", 1, 0.2, 9.5),
        point("b", 2, 0.1, 20.0),
        point("a", 3, 0.9, 1.0, n_done=0),
        point("a", 4, 0.1, 3.0),
    ]
    front = pareto_points(standings, ["ndcg@20", "popularity@20"], [False, True])
    assert [each.point.trials[0] for each in front] == [0, 2, 4]
