from __future__ import annotations

import statistics

import pytest

from recrun.sweep.points import Point, kinds_of_axes, rank, standing

DATA_SETTINGS = ["split", "test_fold", "split_seed", "test_ratio", "min_user_interactions", "path"]


@pytest.mark.parametrize(
    ("axes", "choices", "data"),
    [
        (["lr"], ("lr",), ()),
        (["seed"], (), ()),
        (["test_fold"], (), ()),
        (["split_seed", "seed", "test_fold"], (), ()),
        (["lr", "seed"], ("lr",), ()),
        (["dataset", "lr"], ("lr",), ("dataset",)),
        (["root"], (), ("root",)),
        (["test_ratio", "min_user_interactions"], (), ("test_ratio", "min_user_interactions")),
        (["path", "model", "loss"], ("model", "loss"), ("path",)),
    ],
)
def test_an_axis_is_a_repeat_changes_the_data_or_is_a_choice(
    axes: list[str], choices: tuple[str, ...], data: tuple[str, ...]
) -> None:
    assert kinds_of_axes(axes, DATA_SETTINGS) == (choices, data)


def test_the_deviation_is_that_of_a_sample_and_one_trial_has_none() -> None:
    point = Point({}, {}, (0, 1, 2))
    values = [0.1, 0.2, 0.6]
    found = standing(point, [{"a": value, "b": -value} for value in values])
    assert found.mean == {"a": pytest.approx(0.3), "b": pytest.approx(-0.3)}
    assert found.sd["a"] == statistics.stdev(values)
    assert found.is_complete
    single = standing(point, [{"a": 0.5}])
    assert (single.mean, single.sd, single.is_complete) == ({"a": 0.5}, {"a": None}, False)
    assert standing(point, []).mean == {}


def test_a_metric_that_some_trial_lacks_has_no_mean() -> None:
    found = standing(Point({}, {}, (0, 1)), [{"a": 1.0, "b": 1.0, "c": None}, {"a": 3.0, "c": 1.0}])
    assert found.mean == {"a": 2.0, "b": None, "c": None}
    assert found.sd == {"a": pytest.approx(2**0.5), "b": None, "c": None}


def test_an_incomplete_point_is_never_first_however_good_its_trials() -> None:
    lucky = standing(Point({"lr": 1}, {}, (0, 1)), [{"ndcg@20": 0.9}])
    whole = standing(Point({"lr": 2}, {}, (2, 3)), [{"ndcg@20": 0.2}, {"ndcg@20": 0.3}])
    assert rank([lucky, whole], "ndcg@20") == [whole, lucky]


def test_a_loss_is_ranked_ascending_and_ties_by_the_first_trial() -> None:
    points = [standing(Point({"lr": i}, {}, (i,)), [{"logloss": value}]) for i, value in enumerate([0.5, 0.2, 0.2])]
    assert [each.point.trials for each in rank(points, "logloss")] == [(1,), (2,), (0,)]


def test_points_of_different_data_are_ranked_apart() -> None:
    trials = [("a", 0.9), ("b", 0.1), ("a", 0.8), ("b", 0.2)]
    points = [
        standing(Point({"lr": i}, {"dataset": name}, (i,)), [{"recall@10": value}])
        for i, (name, value) in enumerate(trials)
    ]
    assert [each.point.trials for each in rank(points, "recall@10")] == [(0,), (2,), (3,), (1,)]
