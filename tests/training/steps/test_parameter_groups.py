"""Groups of parameters: which weights decay, and what a step does to the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.registry import OPTIMIZERS
from recrun.training.coach import Coach
from recrun.training.steps.parameter_groups import parameter_groups
from recrun.workflows.build import build, prepare

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "device=cpu", "threads=1", "verbose=0", "epochs=2"]


def decayed(coach: Coach) -> tuple[set[str], set[str]]:
    """Return the names of the parameters that decay, and of those that do not."""
    names = {id(parameter): name for name, parameter in coach.model.named_parameters()}
    found: tuple[set[str], set[str]] = (set(), set())
    for group in coach.optimizer.param_groups:
        found[group["weight_decay"] == 0].update(names[id(parameter)] for parameter in group["params"])
    assert len(found[0]) + len(found[1]) == len(names), "each parameter is in one group"
    return found


def sasrec(*options: str) -> Coach:
    return build(resolve("sasrec", [*SMALL, "embedding_dim=8", "n_heads=2", "weight_decay=0.1", *options]))


def test_all_parameters_are_one_group_as_ever() -> None:
    layer = nn.Linear(3, 2)
    assert [id(each) for each in parameter_groups(layer)] == [id(each) for each in layer.parameters()]
    assert len(sasrec().optimizer.param_groups) == 1


def test_weights_are_all_but_norms_biases_and_vectors() -> None:
    weights, others = decayed(sasrec("weight_decay_on=weights"))
    assert {name for name in weights if "norm" in name or "bias" in name} == set()
    assert {name for name in others if not ("norm" in name or "bias" in name)} == set()
    assert any("items" in name for name in weights)


@pytest.mark.parametrize("model", ["sasrec", "deepfm", "neumf"])
def test_embeddings_are_the_tables_alone(model: str) -> None:
    coach = build(resolve(f"synthetic/{model}", ["weight_decay=0.1", "weight_decay_on=embeddings", "device=cpu"]))
    tables = {id(module.weight) for module in coach.model.modules() if isinstance(module, nn.Embedding)}
    names = {name for name, parameter in coach.model.named_parameters() if id(parameter) in tables}
    assert decayed(coach)[0] == names
    assert decayed(coach)[1]


@pytest.mark.parametrize("norm", [nn.LayerNorm((2, 2)), nn.BatchNorm1d(4), nn.GroupNorm(1, 4)])
def test_norms_of_any_kind_do_not_decay(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 4), norm)
    groups: Any = parameter_groups(model, "weights")
    assert [len(group["params"]) for group in groups] == [1, 3]
    assert groups[0]["params"][0] is model[0].weight


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "adagrad", "lazy_adam", "row_adagrad"])
def test_a_step_without_a_gradient_shrinks_only_what_decays(name: str) -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = OPTIMIZERS.get(name)(parameter_groups(model, "embeddings"), lr=0.1, weight_decay=0.5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"0.weight"}


@pytest.mark.parametrize("decay", ["weights", "embeddings"])
def test_a_run_with_groups_is_resumed(tmp_path: Path, decay: str) -> None:
    def prepared(**run: Any) -> Coach:
        given = [*SMALL, "embedding_dim=4", "mlp_dim=4", "weight_decay=0.01", f"weight_decay_on={decay}"]
        resolved = resolve("neumf", given)
        return prepare(resolved, runs=tmp_path, reporters=lambda run, epoch: [], **run)

    whole = prepared()
    whole.fit()
    resumed = prepared(run=whole.run)
    resumed.resume()
    assert resumed.state.epoch == 2
    ours, theirs = (
        [(group["params"], group["weight_decay"]) for group in coach.optimizer.state_dict()["param_groups"]]
        for coach in (resumed, whole)
    )
    assert ours == theirs


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["bprmf", "weight_decay_on=weights", "weight_decay=0"], "weight_decay_on: .*no weights decay"),
        (["bprmf", "weight_decay_on=weights", "optimizer=sparse_adam"], "weight_decay_on: .*no weights decay"),
        (["bprmf", "weight_decay_on=tables"], "weight_decay_on: .*tables"),
        (["ease", "weight_decay_on=weights"], "is fitted in closed form"),
    ],
)
def test_groups_without_a_meaning_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(given[0], given[1:])


def test_a_model_without_embeddings_has_none_that_decay() -> None:
    with pytest.raises(ConfigError, match="weight_decay_on: the model has no embeddings"):
        parameter_groups(nn.Linear(2, 2), "embeddings")
