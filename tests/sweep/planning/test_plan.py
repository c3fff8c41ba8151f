from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import Resolved
from recrun.errors import ConfigError, Fault
from recrun.sweep.planning.plan import plan_sweep, refuse_without_validation
from recrun.sweep.planning.request import Request
from recrun.sweep.planning.study import Plan

Planner = Callable[..., Plan]


def faults_of(plan: Planner, *arguments: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan(*arguments)
    return [str(fault) for fault in caught.value.faults]


def test_every_trial_has_typed_overrides_and_a_whole_config_without_test(plan: Planner) -> None:
    found = plan("lr=1e-3,1e-4", "hidden=[64,32],[128,64]", "epochs=2")
    assert [dict(trial.overrides) for trial in found.trials] == [
        {"lr": 1e-3, "hidden": [64, 32], "epochs": 2},
        {"lr": 1e-3, "hidden": [128, 64], "epochs": 2},
        {"lr": 1e-4, "hidden": [64, 32], "epochs": 2},
        {"lr": 1e-4, "hidden": [128, 64], "epochs": 2},
    ]
    assert found.axes == {"lr": (1e-3, 1e-4), "hidden": ([64, 32], [128, 64])}
    assert all(trial.config["eval_test"] is False for trial in found.trials)
    assert all(trial.config["seed"] == 1 for trial in found.trials)
    assert found.trials[2].arguments == ("lr=1e-4", "hidden=[64,32]", "epochs=2")


def test_trials_that_differ_in_repeats_alone_are_one_point(plan: Planner) -> None:
    found = plan("lr=0.1,0.2", "hidden=[64],[64,32]", "seed=1..3").points
    assert [point.trials for point in found] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11)]
    assert found[1].choices == {"lr": 0.1, "hidden": [64, 32]}
    assert found[0].data == {}


def test_the_same_sweep_has_the_same_name_however_its_values_are_written(plan: Planner) -> None:
    first = plan("lr=1e-3,1e-4", "epochs=2")
    assert plan("lr=0.001,0.0001", "epochs=2").name == first.name
    assert [trial.id for trial in plan("lr=1e-3,1e-4", "epochs=2").trials] == [trial.id for trial in first.trials]


@pytest.mark.parametrize(
    "arguments",
    [
        ("lr=1e-3,1e-4", "epochs=3"),
        ("lr=1e-3,1e-5", "epochs=2"),
        ("lr=1e-4,1e-3", "epochs=2"),
        ("lr=1e-3,1e-4", "epochs=2", "seed=2"),
        ("lr=1e-3,1e-4", "epochs=2", "description=other"),
    ],
)
def test_another_grid_or_config_has_another_name(plan: Planner, arguments: tuple[str, ...]) -> None:
    assert plan(*arguments).name != plan("lr=1e-3,1e-4", "epochs=2").name


@pytest.mark.parametrize(
    "free", ["threads=2", "device=cpu", "verbose=0", "plots=false", "num_workers=1", "root=elsewhere"]
)
def test_what_changes_no_result_changes_no_name(plan: Planner, free: str) -> None:
    assert plan("lr=1e-3,1e-4", free).name == plan("lr=1e-3,1e-4").name


def test_an_axis_names_the_sweep_even_where_it_changes_no_result(plan: Planner) -> None:
    names = {plan(*arguments).name for arguments in (["threads=1,2"], ["threads=1,3"], ["num_workers=0,1"])}
    assert len(names) == 3


def test_a_description_with_separators_makes_one_folder_name(plan: Planner) -> None:
    name = plan("lr=1,2", "description='a/../b, c'").name
    assert "/" not in name
    assert name.startswith("a_.._b_c-")


def test_every_fault_of_every_trial_is_reported_once_at_the_value_it_is_about(plan: Planner) -> None:
    assert faults_of(plan, "epohs=3", "lr=1e-3,-1,x", "epochs=2, many") == [
        "argument 1:1: epohs: unknown setting; did you mean 'epochs'?",
        "argument 2:9: lr: expected a number > 0, found -1 (an integer)",
        "argument 2:12: lr: expected a number > 0, found 'x' (text)",
        "argument 3:11: epochs: expected an integer >= 0, found 'many' (text)",
    ]


def test_values_that_mean_the_same_are_one_value_given_twice(plan: Planner) -> None:
    assert faults_of(plan, "lr=1e-3,0.001") == ["argument 1:9: lr: the value 0.001 is given twice: it is equal to 1e-3"]


def test_a_sweep_refuses_to_read_test_and_says_why(plan: Planner) -> None:
    (fault,) = faults_of(plan, "lr=1,2", "eval_test=true")
    assert fault.startswith("argument 2:1: eval_test: a sweep that chooses never evaluates on test")


def test_settings_that_belong_to_the_sweep_itself_are_refused_together(plan: Planner) -> None:
    found = faults_of(plan, "id=a", "resume=true", "which4best=recall@20,ndcg@20", "lr=1,2")
    assert [fault.split(": ")[1] for fault in found] == ["id", "resume", "which4best"]


def test_a_sweep_without_an_axis_points_to_train(plan: Planner) -> None:
    assert faults_of(plan, "lr=1e-3") == [
        "no setting has several values; write KEY=V1,V2, or use 'recrun train' for a single run"
    ]


def test_faults_of_a_section_an_argument_and_an_option_come_together_with_those_of_the_config(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "model: bprmf\ndataset: Synthetic\nembeding_dim: 32\nlr: fast\n"
        "sweep:\n  space:\n    lr: 1e-4..1e-2:lgo\n    weight_decy: [0, 1e-4]\n  trials: many\n"
    )
    with pytest.raises(ConfigError) as error:
        plan_sweep(path, ["batch_size=a,5"], request=Request(search="tpe", trials=3, prune="ash"))
    places = [(Path(fault.file or "").name, fault.line, fault.column, fault.key) for fault in error.value.faults]
    assert places == [
        ("", None, None, ""),
        ("bad.yaml", 3, 1, "embeding_dim"),
        ("bad.yaml", 4, 5, "lr"),
        ("bad.yaml", 7, 20, "lr"),
        ("bad.yaml", 8, 5, "weight_decy"),
        ("bad.yaml", 9, 11, "trials"),
        ("argument 1", None, 12, "batch_size"),
    ]


def test_what_a_config_lacks_is_no_fault_while_the_argument_that_gives_it_is_malformed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("model: bprmf\ndataset: MovieLens100K\nembeding_dim: 32\n")
    with pytest.raises(ConfigError) as error:
        plan_sweep(path, ["root=[a", "lr=1e-3,1e-2"])
    assert [fault.key for fault in error.value.faults] == ["embeding_dim", "root"]
    assert "argument 1" in str(error.value)


def test_a_grid_that_is_too_large_is_refused_before_it_is_built(plan: Planner) -> None:
    axes = [f"axis{number}=" + ",".join(map(str, range(50))) for number in range(12)]
    found = faults_of(plan, *axes)
    assert found[0] == "the grid has 244,140,625,000,000,000,000 trials; at most 10,000 are accepted"
    assert [fault.split(": ")[-1] for fault in found[1:]] == ["unknown setting"] * 12


def test_monitors_that_change_the_criterion_need_one_criterion(plan: Planner) -> None:
    (fault,) = faults_of(plan, "monitors=[recall@20],[ndcg@20]")
    assert fault.startswith("which4best: must be set")


def test_a_sweep_without_validation_is_refused(plan: Planner) -> None:
    (fault,) = faults_of(plan, "lr=1,2", "eval_valid=false")
    assert fault.startswith("argument 2:12: eval_valid: must be true: trials are compared on validation")


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"dataset": "Synthetic", "valid_ratio": 0.1}, None),
        ({"dataset": "Synthetic", "valid_ratio": 0.1, "eval_valid": False}, "eval_valid"),
        ({"dataset": "Synthetic", "valid_ratio": 0.1, "eval_valid": False, "train_on": "train_valid"}, "train_on"),
        ({"dataset": "Synthetic", "valid_ratio": 0.0}, "valid_ratio"),
        ({"dataset": "File", "valid_ratio": 0.0, "valid_path": None}, "valid_ratio"),
        ({"dataset": "File", "valid_ratio": 0.0, "valid_path": "valid.csv"}, None),
        ({"dataset": "./mine.py:Mine", "valid_ratio": 0.0}, None),
    ],
)
def test_what_leaves_no_validation_part_is_refused(settings: dict[str, Any], refused: str | None) -> None:
    fault = refuse_without_validation({"eval_valid": True, **settings})
    assert (fault.key if fault else None) == refused


def test_a_fault_that_only_some_trials_have_names_the_values_they_share() -> None:
    def resolve(config: str | None, overrides: Sequence[str]) -> Resolved:
        chosen: dict[str, Any] = dict(override.split("=") for override in overrides)
        faults = [Fault("is wrong everywhere", key="c", file="base.yaml", line=9, column=1)]
        if chosen["a"] == "2":
            faults.append(Fault("needs another a", key="d", file="base.yaml", line=1, column=1))
        if chosen["a"] == "2" and chosen["b"] == "4":
            faults.append(Fault("cannot go together", key="b", file="base.yaml", line=7, column=3))
        raise ConfigError(faults)

    with pytest.raises(ConfigError) as caught:
        plan_sweep("base.yaml", ["a=1,2", "b=3,4"], resolver=resolve)
    assert [str(fault) for fault in caught.value.faults] == [
        "base.yaml:1:1: d: needs another a (with a=2)",
        "base.yaml:7:3: b: cannot go together (with a=2 b=4)",
        "base.yaml:9:1: c: is wrong everywhere",
    ]


def test_plots_are_no_axis(plan: Planner) -> None:
    with pytest.raises(ConfigError, match="does not change results; give one value"):
        plan("plots=true,false")


def test_a_setting_that_some_configs_lack_is_noted_and_one_that_none_has_is_a_fault() -> None:
    found = plan_sweep(["bprmf", "ease"], ["lr=1e-3,1e-2", "seed=1,2"])
    assert "lr: ease has no such setting" in found.notes
    assert [(trial.subject, trial.overrides.get("lr")) for trial in found.trials] == [
        ("bprmf", 1e-3), ("bprmf", 1e-3), ("bprmf", 1e-2), ("bprmf", 1e-2), ("ease", None), ("ease", None)
    ]  # fmt: skip
    assert [point.choices for point in found.points] == [
        {"config": "bprmf", "lr": 1e-3}, {"config": "bprmf", "lr": 1e-2}, {"config": "ease"}
    ]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        plan_sweep(["bprmf", "ease"], ["lrr=1e-3,1e-2", "epohs=3"])
    assert [str(fault) for fault in caught.value.faults] == [
        "argument 1:1: lrr: unknown setting; did you mean 'lr'?",
        "argument 2:1: epohs: unknown setting; did you mean 'epochs'?",
    ]


def test_points_that_differ_in_what_a_config_lacks_are_one_point_of_it(tmp_path: Path) -> None:
    points = "[{n_layers: 1, lr: 0.1}, {n_layers: 2, lr: 0.1}], space: {embedding_dim: [4, 8]}"
    (tmp_path / "a.yaml").write_text(f"model: bprmf\ndataset: Synthetic\nsweep: {{points: {points}}}\n")
    found = plan_sweep([tmp_path / "a.yaml", {"model": "lightgcn", "dataset": "Synthetic"}], [])
    assert [dict(trial.overrides) for trial in found.trials] == [
        {"lr": 0.1, "embedding_dim": 4}, {"lr": 0.1, "embedding_dim": 8}, {}
    ]  # fmt: skip
    points = "[{n_layers: 1}, {n_layers: 2}]"
    (tmp_path / "a.yaml").write_text(f"model: bprmf\ndataset: Synthetic\nsweep: {{points: {points}}}\n")
    found = plan_sweep([tmp_path / "a.yaml", {"model": "lightgcn", "dataset": "Synthetic"}], ["lr=1,2"])
    assert [trial.overrides["lr"] for trial in found.trials] == [1, 2, 1, 2]
    assert "n_layers: a has no such setting" in found.notes


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"search": "tpe"}, "--search tpe: say how many points are drawn: --trials N"),
        ({"trials": 3}, "--trials: a grid has the trials that it has; choose --search random, sobol, tpe ..."),
        ({"add": 3}, "--add: a grid has the trials that it has; choose --search random, sobol, tpe ..."),
        ({"search_seed": 3}, "--search-seed: a grid draws nothing; choose --search random, sobol, tpe ..."),
        (
            {"generation": 3, "search": "grid"},
            "--generation: a grid whose trials all run whole depends on no results; leave it out",
        ),
        ({"search": "random", "add": 1, "trials": 2}, "--add and --trials exclude each other"),
        ({"seeds": 99_999_999}, "--seeds: expected at most 10,000 seeds, found 99,999,999"),
        ({"search": "rnadom", "trials": 2}, "unknown search 'rnadom'"),
        ({"prune": "ahsa"}, "unknown pruner 'ahsa'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep("bprmf", ["lr=1e-3,1e-2"], request=Request(**asked))
    assert message in str(caught.value)


def test_seeds_are_counted_from_that_of_the_config_and_exclude_an_axis_of_seeds() -> None:
    base = {"model": "bprmf", "dataset": "Synthetic", "seed": 7}
    found = plan_sweep(base, ["lr=1,2"], request=Request(seeds=3))
    assert [trial.config["seed"] for trial in found.trials] == [7, 8, 9, 7, 8, 9]
    with pytest.raises(ConfigError) as caught:
        plan_sweep(base, ["lr=1,2", "seed=1,2"], request=Request(seeds=3))
    assert str(caught.value) == "argument 2: seed: is given, and --seeds too; give one of the two"


def test_sections_that_disagree_are_refused_until_an_option_decides(tmp_path: Path) -> None:
    for name, trials in (("a", 3), ("b", 4)):
        section = f"{{search: random, trials: {trials}, space: {{lr: 0.1..1.0}}}}"
        (tmp_path / f"{name}.yaml").write_text(f"model: bprmf\ndataset: Synthetic\nsweep: {section}\n")
    both = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    with pytest.raises(ConfigError, match=r"the sections of the configs differ \(3, 4\); say which: --trials"):
        plan_sweep(both, [])
    assert len(plan_sweep(both, [], request=Request(trials=2)).trials) == 4


@pytest.mark.parametrize("search", ["random", "sobol", "tpe"])
def test_faults_of_options_and_of_spaces_are_found_together(search: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep(
            "bprmf", ["lr=1e-2..1e-4", "embedding_dim=8..x", "epohs=3"], request=Request(search=search, prune="ahsa")
        )
    text = str(caught.value)
    for part in ("argument 1:", "argument 2:", "argument 3:", "--trials N", "unknown pruner 'ahsa'"):
        assert part in text, text


def test_a_search_without_a_number_of_points_is_refused_with_the_faults_of_its_space() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep("bprmf", ["lr=1e-4..1e-2:log", "n_negatives=-1..3"], request=Request(search="random"))
    assert [str(fault).partition(" (")[0] for fault in caught.value.faults] == [
        "--search random: say how many points are drawn: --trials N",
        "argument 2:13: n_negatives: expected an integer >= 1, found -1",
    ]


def test_a_study_with_more_trials_has_the_same_first_ones_in_several_lanes() -> None:
    base = {"model": "bprmf", "dataset": "Synthetic"}
    names = []
    for trials in (2, 5):
        request = Request(search="random", trials=trials, seeds=2)
        found = plan_sweep([base, {**base, "loss": "bce"}], ["lr=1e-4..1e-2:log"], request=request)
        names.append((found.name, [(trial.id, dict(trial.shown)) for trial in found.trials]))
    assert names[0][0] == names[1][0]
    assert names[1][1][:8] == names[0][1]
    assert len({id for id, _ in names[1][1]}) == 20
