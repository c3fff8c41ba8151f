"""A study gets further points, and keeps those that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.ledger import Ledger
from recrun.sweep.planning.extend import plan_extended
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan

SPACE = ("lr=1e-4..1e-2:log", "embedding_dim=4..64", "epochs=9")


def planned(runs: Path, *arguments: str, config: Any = "bprmf", **asked: Any) -> Plan:
    return plan_extended(config, arguments or SPACE, Request(**asked), runs)


def begun(runs: Path, *arguments: str, config: Any = "bprmf", **asked: Any) -> Plan:
    """Plan a sweep and write its ledger, as a sweep does that is killed before its first trial."""
    plan = planned(runs, *arguments, config=config, **asked)
    with Ledger(plan, runs):
        pass
    return plan


def faults_of(runs: Path, *arguments: str, **asked: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        planned(runs, *arguments, **asked)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_added_points_follow_those_that_the_study_had_under_the_same_names(tmp_path: Path, search: str) -> None:
    first = begun(tmp_path, search=search, trials=3)
    longer = begun(tmp_path, search=search, add=2)
    assert longer.name == first.name
    assert longer.n_asked == 5
    assert longer.trials[:3] == first.trials
    assert len(longer.trials) == 5
    assert planned(tmp_path, search=search, add=4).n_asked == 9


@pytest.mark.parametrize("search", ["tpe", "gp", "cmaes", "nsga2"])
def test_points_that_depend_on_results_are_added_too(tmp_path: Path, search: str) -> None:
    first = begun(tmp_path, search=search, trials=3)
    longer = planned(tmp_path, search=search, add=2)
    assert (longer.name, longer.n_asked, longer.most_at_once) == (first.name, 5, 5)


def test_points_are_added_to_each_config_with_all_their_seeds_and_pruning(tmp_path: Path) -> None:
    asked = {"search": "random", "seeds": 2, "prune": "asha"}
    first = begun(tmp_path, config=["bprmf", "lightgcn"], trials=3, **asked)
    longer = planned(tmp_path, config=["bprmf", "lightgcn"], add=1, **asked)
    assert longer.name == first.name
    assert [lane.n_points for lane in longer.lanes] == [4, 4]
    assert longer.most_at_once == 2 * 4 * 2
    assert {trial.id for trial in first.trials} < {trial.id for trial in longer.trials}


def test_a_larger_number_of_points_extends_a_study_and_a_smaller_one_takes_none_away(tmp_path: Path) -> None:
    begun(tmp_path, search="random", trials=3)
    assert begun(tmp_path, search="random", trials=5).n_asked == 5
    shorter = planned(tmp_path, search="random", trials=2)
    assert shorter.n_asked == 5
    assert shorter.notes == ("--trials 2: the study was asked for 5 points before, and keeps them",)
    assert planned(tmp_path, search="random", trials=5).notes == ()


def test_the_number_in_a_config_counts_until_points_are_added(tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("extends: bprmf\nsweep: {search: random, trials: 3, space: {lr: 1e-4..1e-2}}\n")
    # No arguments: everything is in the file.
    assert plan_extended(study, [], Request(), tmp_path).n_asked == 3
    with Ledger(plan_extended(study, [], Request(), tmp_path), tmp_path):
        pass
    with Ledger(plan_extended(study, [], Request(add=2), tmp_path), tmp_path):
        pass
    again = plan_extended(study, [], Request(), tmp_path)
    assert (again.n_asked, again.notes) == (5, ())


def test_a_space_that_can_be_counted_is_not_extended_beyond_its_points(tmp_path: Path) -> None:
    options = ("lr=1e-3,1e-2", "embedding_dim=4,8")
    first = begun(tmp_path, *options, search="random", trials=3)
    longer = planned(tmp_path, *options, search="random", add=5)
    assert len(first.trials) == 3
    assert longer.trials[:3] == first.trials
    assert len(longer.trials) == 4


def test_points_are_added_to_a_study_that_there_is_alone(tmp_path: Path) -> None:
    expected = (
        f"--add: there is no study of this command in {tmp_path / 'sweeps'} to which points could be added; begin it "
        "with --trials N"
    )
    assert faults_of(tmp_path, search="random", add=2) == [expected]
    begun(tmp_path, search="random", trials=3)
    assert faults_of(tmp_path, search="random", add=2, search_seed=1) == [expected]
    assert faults_of(tmp_path, "lr=1e-4..1e-2", search="random", add=2) == [expected]


def test_nothing_is_added_to_a_grid_nor_beside_a_number_of_all_points(tmp_path: Path) -> None:
    grid = "--add: a grid has the trials that it has; choose --search random, sobol, tpe ..."
    assert faults_of(tmp_path, "lr=1e-3,1e-2", add=2) == [grid]
    assert faults_of(tmp_path, "lr=1e-3,x", add=2) == [
        grid,
        "argument 1:9: lr: expected a number > 0, found 'x' (text)",
    ]
    assert faults_of(tmp_path, search="random", add=2, trials=3) == [
        "--add and --trials exclude each other: N further points, or N in all"
    ]


def test_a_damaged_ledger_is_an_error_and_not_a_study_without_points(tmp_path: Path) -> None:
    plan = begun(tmp_path, search="random", trials=3)
    ledger = tmp_path / "sweeps" / plan.name / "sweep.json"
    ledger.write_text("{")
    assert [str(ledger) in fault for fault in faults_of(tmp_path, search="random", add=1)] == [True]
    ledger.write_text('{"study": {"trials": "many"}}')
    assert faults_of(tmp_path, search="random", add=1)[0].startswith("--add: there is no study")


@pytest.mark.parametrize("asked", [{"add": 2}, {"trials": 3}])
def test_a_plan_of_a_study_that_another_command_has_extended_since_is_refused(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    begun(tmp_path, search="tpe", trials=3)
    late = planned(tmp_path, search="tpe", **asked)
    begun(tmp_path, search="tpe", add=2)
    ledger = next(tmp_path.glob("sweeps/*/sweep.json"))
    before = ledger.read_bytes()
    with pytest.raises(
        ConfigError, match=r"another command has extended the study .* to 5 points while this one began"
    ):
        Ledger(late, tmp_path).__enter__()
    assert ledger.read_bytes() == before
    begun(tmp_path, search="tpe", **asked)
