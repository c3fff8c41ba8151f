from __future__ import annotations

import statistics

import pytest

from recrun.sweep.points import Point, group, kinds_of_axes, rank, standing

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


def test_trials_that_differ_in_repeats_alone_are_one_point() -> None:
    trials = [
        (index, {"lr": lr, "hidden": hidden, "seed": seed})
        for index, (lr, hidden, seed) in enumerate(
            (lr, hidden, seed) for lr in (0.1, 0.2) for hidden in ([64], [64, 32]) for seed in (1, 2, 3)
        )
    ]
    found = group(trials, ["lr", "hidden"], [])
    assert [point.trials for point in found] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    assert found[1].choices == {"lr": 0.1, "hidden": [64, 32]}
    assert found[0].data == {}


def test_values_of_two_types_are_two_points() -> None:
    trials = [(0, {"x": 1}), (1, {"x": "1"}), (2, {"x": True}), (3, {"x": None})]
    assert [point.trials for point in group(trials, ["x"], [])] == [(0,), (1,), (2,), (3,)]


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
