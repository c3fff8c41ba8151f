"""Several configs are swept together, each with the settings that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan
from recrun.sweep.space.asked import parse_zips


def planned(configs: list[Any], *arguments: str, **asked: Any) -> Plan:
    return plan_sweep(configs, arguments, request=Request(**asked))


def faults_of(configs: list[Any], *arguments: str, **asked: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        planned(configs, *arguments, **asked)
    return [str(fault) for fault in caught.value.faults]


def test_each_config_is_swept_with_the_settings_that_it_has_and_a_note_names_those_that_lack_one() -> None:
    plan = planned(["bprmf", "ease", "itemknn"], "lr=1e-3,1e-2", "epochs=2", "seed=1,2")
    assert plan.notes[:2] == (
        "lr: ease, itemknn have no such setting",
        "epochs: ease, itemknn have no such setting",
    )
    assert [(point.choices, len(point.trials)) for point in plan.points] == [
        ({"lr": 1e-3, "config": "bprmf"}, 2),
        ({"lr": 1e-2, "config": "bprmf"}, 2),
        ({"config": "ease"}, 2),
        ({"config": "itemknn"}, 2),
    ]
    assert plan.of_subject == "config"
    assert not plan.is_tested


def test_where_nothing_is_chosen_each_config_has_numbers_of_its_own_on_test() -> None:
    plan = planned(["popularity", "ease"], seeds=2)
    assert plan.is_tested
    assert [(point.choices, point.data) for point in plan.points] == [
        ({}, {"config": "popularity"}),
        ({}, {"config": "ease"}),
    ]


def test_a_setting_that_no_config_has_is_a_fault_with_its_place() -> None:
    assert faults_of(["bprmf", "ease"], "lrr=1e-3,1e-2") == ["argument 1:1: lrr: unknown setting; did you mean 'lr'?"]
    assert faults_of(["bprmf", "ease"], "epochs=2", "nosuch=3") == ["argument 2:1: nosuch: unknown setting"]


def test_zipped_settings_of_which_a_config_lacks_one_are_varied_by_those_that_it_has() -> None:
    zips = tuple(parse_zips(["lr,weight_decay"])[0])
    plan = planned(["bprmf", "ease"], "lr=1e-3,1e-2", "weight_decay=1,2", "epochs=2", zips=zips)
    assert [dict(point.choices) for point in plan.points] == [
        {"lr": 1e-3, "weight_decay": 1, "config": "bprmf"},
        {"lr": 1e-2, "weight_decay": 2, "config": "bprmf"},
        {"config": "ease"},
    ]


def test_configs_with_different_criteria_are_refused_and_one_that_is_given_makes_them_comparable(
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("extends: bprmf\nwhich4best: recall@10\n")
    faults = faults_of(["bprmf", other], "lr=1e-3,1e-2")
    assert faults == [
        "which4best: must be set: otherwise trials are compared by different criteria (ndcg@20; recall@10)"
    ]
    assert planned(["bprmf", other], "lr=1e-3,1e-2", "which4best=ndcg@20").criteria == ("ndcg@20",)


def test_configs_are_called_by_their_files_and_by_their_paths_where_these_are_alike(tmp_path: Path) -> None:
    (tmp_path / "bprmf.yaml").write_text("extends: bprmf\nlr: 0.5\n")
    path = str(tmp_path / "bprmf.yaml")
    plan = planned(["bprmf", path, "ease"], seeds=2)
    assert list(plan.files) == ["bprmf", path, "ease"]


def test_sections_that_differ_are_refused_until_an_option_decides(tmp_path: Path) -> None:
    for name, trials in (("one", 3), ("two", 4)):
        section = f"sweep: {{search: random, trials: {trials}, space: {{lr: 1e-3..1e-2}}}}"
        (tmp_path / f"{name}.yaml").write_text(f"extends: bprmf\n{section}\n")
    configs = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    assert faults_of(configs) == ["trials: the sections of the configs differ (3, 4); say which: --trials"]
    assert [lane.n_points for lane in planned(configs, trials=5).lanes] == [5, 5]


def test_a_config_that_is_not_there_is_named_alone() -> None:
    assert faults_of(["bprmf", "nosuch"], "lr=1,2") == [
        "nosuch: there is no file 'nosuch', and no bundled config of that name (see recrun list configs)"
    ]
