from __future__ import annotations

from pathlib import Path

import pytest

from recrun.errors import ConfigError
from recrun.sweep.limits import Limits
from recrun.sweep.planning.plan import plan_sweep
from recrun.sweep.planning.print_study import printed
from recrun.sweep.planning.request import Request
from recrun.sweep.space.asked import parse_zips

BASE = {"model": "bprmf", "dataset": "Synthetic", "epochs": 4, "optimizer": "sgd", "momentum": 0.5}


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (["lr=1e-2,1e-3", "seed=1..3"], Request()),
        (["lr=1e-2,1e-3", "epochs=7"], Request(seeds=2)),
        (["optimizer=adam,sgd", "lr=1e-2,1e-3"], Request()),
        (["model=bprmf,ease,lightgcn", "dataset=Synthetic"], Request()),
        (["loss=bpr,sampled_softmax", "n_negatives=1"], Request(race=True, seeds=3)),
        (["lr=1e-4..1e-2:log", "optimizer=adam,sgd"], Request(search="random", trials=5, search_seed=3)),
        (["lr=1e-4..1e-2:log"], Request(search="sobol", trials=5, prune="asha:eta=4", generation=2, max_epochs=200)),
        (["lr=1e-2,1e-3", "batch_size=256,512"], Request(zips=tuple(parse_zips(["lr,batch_size"])[0]))),
        (["lr=1e-2,1e-3"], Request(max_hours=1.5, timeout=90.0, retries=2)),
        (["lr=1e-2,1e-3", "monitors=[ndcg@20,coverage@20]", "which4best=[ndcg@20,coverage@20]"], Request()),
        (["monitors=[recall@10],[recall@10,ndcg@10]", "which4best=recall@10"], Request()),
        (["description='a: b','c #d'"], Request()),
    ],
)
def test_a_printed_study_is_the_same_study(arguments: list[str], request_: Request, tmp_path: Path) -> None:
    plan = plan_sweep(BASE, arguments, request=request_)
    file = tmp_path / "study.yaml"
    file.write_text(printed(plan, BASE), encoding="utf-8")
    again = plan_sweep(file, [])
    assert again.name == plan.name
    assert [trial.id for trial in again.trials] == [trial.id for trial in plan.trials]
    assert again.generation == plan.generation
    assert again.limits == Limits(plan.limits.max_hours, plan.limits.timeout, plan.limits.retries)
    assert again.settled.procedure.max_epochs == plan.settled.procedure.max_epochs
    assert printed(again, file) == file.read_text(encoding="utf-8")


def test_a_section_with_conditions_and_points_is_printed_as_it_is_meant(tmp_path: Path) -> None:
    file = tmp_path / "first.yaml"
    file.write_text(
        """
model: bprmf
dataset: Synthetic
sweep:
  search: random
  trials: 6
  seeds: [3, 5]
  space:
    lr: 1e-4..1e-2:log
    epochs: 3
    optimizer: {adam: {beta2: [0.9, 0.99]}, sgd: {momentum: 0..0.9}}
  points:
    - {n_negatives: 1, loss: bpr}
    - {n_negatives: 8, loss: sampled_softmax}
""",
        encoding="utf-8",
    )
    plan = plan_sweep(file, [])
    text = printed(plan, file)
    assert "\nepochs: 3\n" in text
    (tmp_path / "second.yaml").write_text(text, encoding="utf-8")
    again = plan_sweep(tmp_path / "second.yaml", [])
    assert [dict(trial.overrides) for trial in again.trials] == [
        {key: value for key, value in trial.overrides.items() if key != "epochs"} for trial in plan.trials
    ]
    assert again.name == plan.name


def test_several_configs_are_refused() -> None:
    plan = plan_sweep([BASE, {**BASE, "lr": 0.1}], [])
    with pytest.raises(ConfigError, match="prints one config, and this sweep has 2"):
        printed(plan, BASE)
