"""A sweep is divided into parts that are searched on their own: one config on one value of the data each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan
from recrun.sweep.space.asked import parse_zips


def planned(*arguments: str, config: Any = "bprmf", **asked: Any) -> Plan:
    return plan_sweep(config, ["epochs=9", *arguments], request=Request(**asked))


def study(folder: Path, section: str) -> Path:
    file = folder / "study.yaml"
    file.write_text("extends: bprmf\nepochs: 9\nsweep:\n" + "".join(f"  {line}\n" for line in section.splitlines()))
    return file


def data_and_points(plan: Plan) -> list[tuple[dict[str, str], list[dict[str, str]]]]:
    """Return the data of each lane with its points."""
    return [(dict(lane.data), [lane.space.settings(draw) for draw in lane.draws or ()]) for lane in plan.lanes]


def test_each_value_of_the_data_has_the_same_points_and_seeds_have_none_of_their_own() -> None:
    plan = planned("n_users=200,300", "lr=1e-3,1e-2", "seed=4,5")
    points = [{"lr": "1e-3"}, {"lr": "1e-2"}]
    assert data_and_points(plan) == [({"n_users": "200"}, points), ({"n_users": "300"}, points)]
    assert [lane.repeats for lane in plan.lanes] == [({"seed": "4"}, {"seed": "5"})] * 2
    assert (len(plan.trials), plan.most_at_once, plan.n_data) == (8, 8, 2)
    assert not plan.is_tested


def test_each_config_and_value_of_the_data_draws_as_many_points() -> None:
    plan = planned("n_users=200,300", "lr=1e-3..1e-2", config=["bprmf", "lightgcn"], search="random", trials=3)
    assert [(lane.subject, dict(lane.data), lane.n_points) for lane in plan.lanes] == [
        (0, {"n_users": "200"}, 3),
        (0, {"n_users": "300"}, 3),
        (1, {"n_users": "200"}, 3),
        (1, {"n_users": "300"}, 3),
    ]
    assert len({trial.id for trial in plan.trials}) == 12


def test_settings_that_are_compared_may_depend_on_the_data_and_test_is_not_read(tmp_path: Path) -> None:
    section = """space:
  split:
    ratio: {test_ratio: [0.1, 0.2], lr: [1e-3, 1e-2]}
    leave_one_out: {lr: [0.1, 0.2, 0.3]}"""
    plan = plan_sweep(study(tmp_path, section), [])
    ratio = [{"lr": "1e-3"}, {"lr": "1e-2"}]
    assert data_and_points(plan) == [
        ({"split": "ratio", "test_ratio": "0.1"}, ratio),
        ({"split": "ratio", "test_ratio": "0.2"}, ratio),
        ({"split": "leave_one_out"}, [{"lr": "0.1"}, {"lr": "0.2"}, {"lr": "0.3"}]),
    ]
    assert not plan.is_tested
    assert all(trial.config["eval_test"] is False for trial in plan.trials)
    assert [(dict(point.data), dict(point.choices)) for point in plan.points][-1] == (
        {"split": "leave_one_out"},
        {"lr": 0.3},
    )


def test_choices_that_depend_on_the_data_keep_the_conditions_among_themselves(tmp_path: Path) -> None:
    section = """search: random
trials: 20
space:
  split:
    ratio:
      optimizer: {adam: {beta2: [0.9, 0.99]}, sgd: {momentum: 0..0.9}}
    leave_one_out: {lr: 1e-3..1e-2}"""
    plan = plan_sweep(study(tmp_path, section), [])
    ratio, leave_one_out = (points for _, points in data_and_points(plan))
    assert {frozenset(point) for point in ratio} == {
        frozenset({"optimizer", "beta2"}),
        frozenset({"optimizer", "momentum"}),
    }
    assert {frozenset(point) for point in leave_one_out} == {frozenset({"lr"})}


def test_what_has_one_value_for_each_value_of_the_data_is_not_compared(tmp_path: Path) -> None:
    section = "space:\n  split:\n    ratio: {lr: 1e-3}\n    leave_one_out: {lr: [1e-2]}"
    plan = plan_sweep(study(tmp_path, section), [])
    assert data_and_points(plan) == [
        ({"split": "ratio", "lr": "1e-3"}, [{}]),
        ({"split": "leave_one_out", "lr": "1e-2"}, [{}]),
    ]
    assert plan.is_tested


def test_points_that_are_compared_on_the_same_data_are_refused_where_they_would_be_scored_on_test(
    tmp_path: Path,
) -> None:
    section = "points:\n  - {n_users: 200, lr: 1e-3}\n  - {n_users: 300, lr: 1e-3}\n  - {n_users: 300, lr: 1e-2}"
    with pytest.raises(ConfigError) as caught:
        plan_sweep(study(tmp_path, section), [])
    assert [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults] == [
        "study.yaml:7:26: lr: is compared on the same data as in an earlier point; give it in the space, not in points"
    ]


def test_settings_that_are_tried_together_are_axes_like_all_others(tmp_path: Path) -> None:
    section = "points: [{lr: 1e-3, loss: bpr}, {lr: 1e-2, loss: bce}]\nspace: {embedding_dim: [4, 8]}"
    plan = plan_sweep(study(tmp_path, section), [])
    assert plan.axes == {"lr": (1e-3, 1e-2), "loss": ("bpr", "bce"), "embedding_dim": (4, 8)}
    assert len(plan.trials) == 4


@pytest.mark.parametrize("search", ["grid", "random", "sobol", "tpe"])
def test_zipped_settings_are_drawn_as_one(search: str) -> None:
    asked = {} if search == "grid" else {"search": search, "trials": 3}
    zips, faults = parse_zips(["lr,batch_size"])
    assert faults == []
    plan = planned("lr=1e-3,2e-3,3e-3", "batch_size=64,128,256", "seed=1,2", zips=tuple(zips), **asked)
    (lane,) = plan.lanes
    assert lane.space.n_points == 3
    settings = [lane.space.settings(draw) for draw in lane.space.grid()]
    assert [(each["lr"], each["batch_size"]) for each in settings] == [("1e-3", "64"), ("2e-3", "128"), ("3e-3", "256")]
    if search != "tpe":
        assert {(t.config["lr"], t.config["batch_size"]) for t in plan.trials} == {(1e-3, 64), (2e-3, 128), (3e-3, 256)}
        assert len(plan.trials) == 6


def test_the_budget_of_epochs_is_shared_by_lanes_that_are_trained_by_epochs() -> None:
    with pytest.raises(ConfigError, match="one point takes 9 epochs, and its share of them is 8"):
        planned("n_users=200,300", "lr=1e-3,1e-2", max_epochs=17)
    assert planned("n_users=200,300", "lr=1e-3,1e-2", max_epochs=18).n_data == 2


def test_a_search_of_a_config_without_anything_to_vary_has_its_one_point() -> None:
    plan = planned("lr=1e-3..1e-2", config=["bprmf", "ease"], search="random", trials=4, seeds=2)
    assert [lane.n_points for lane in plan.lanes] == [4, 1]
    assert len(plan.trials) == 10


@pytest.mark.parametrize(
    ("arguments", "asked", "message"),
    [
        (("lr=1e-3..1:1e-3", "embedding_dim=1..64"), {}, "the grid has 64,000 trials; at most 10,000 are accepted"),
        (("lr=1..2", "seed=1..2"), {"search": "random", "trials": 6000}, "the study has 12,000 trials; at most 10,000"),
        (("n_users=200..9000", "lr=1,2"), {}, "the grid has 17,602 trials; at most 10,000 are accepted"),
    ],
)
def test_too_many_trials_are_refused_before_they_are_made(
    arguments: tuple[str, ...], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(*arguments, **asked)
    assert [fault.message for fault in caught.value.faults if message in fault.message]
