"""The moving average of the weights: its formula, what is evaluated and saved, and that a resumed run has the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recrun.config.resolve import resolve
from recrun.errors import CheckpointError, ConfigError
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.training.coach import Coach
from recrun.training.steps.weight_average import WeightAverage
from recrun.training.stop_signals import Interrupted
from recrun.workflows.build import build, prepare

SMALL = [
    *("n_users=100", "n_items=60", "n_interactions=1500", "epochs=3", "batch_size=128", "lr=0.02", "embedding_dim=8"),
    *("device=cpu", "threads=1", "verbose=0", "plots=false", "ema_decay=0.9"),
]


def prepared(tmp_path: Path, *options: str, run: RunFolder | None = None) -> Coach:
    keys = {option.partition("=")[0] for option in options}
    kept = [option for option in SMALL if option.partition("=")[0] not in keys]
    resolved = resolve("bprmf", [*kept, *options])
    return prepare(resolved, runs=tmp_path, run=run, reporters=lambda run, epoch: [])


def weights(coach: Coach) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in coach.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.9999])
def test_it_is_the_weighted_mean_of_the_weights_after_each_step(decay: float) -> None:
    layer = nn.Linear(3, 2, dtype=torch.float64)
    average, seen = WeightAverage(layer, decay), []
    for _ in range(7):
        with torch.no_grad():
            layer.weight.add_(torch.randn_like(layer.weight))
        average.update()
        seen.append(layer.weight.detach().clone())
        shares = torch.tensor([decay ** (len(seen) - 1 - s) for s in range(len(seen))], dtype=torch.float64)
        expected = (torch.stack(seen) * (shares / shares.sum())[:, None, None]).sum(0)
        with average.in_use():
            torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-11, atol=1e-11)
        assert torch.equal(layer.weight, seen[-1]), "the weights are trained from where they were"


def test_before_the_first_step_it_is_the_weights_and_within_itself_it_stays() -> None:
    layer = nn.Linear(3, 2)
    average = WeightAverage(layer, 0.9)
    initial = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.fill_(1.0)
    average.update()
    with torch.no_grad():
        layer.weight.fill_(2.0)
    with average.in_use(), average.in_use():
        assert bool((layer.weight == 1).all())
    assert bool((layer.weight == 2).all())
    assert not torch.equal(initial, layer.weight)
    with pytest.raises(ZeroDivisionError), average.in_use():
        raise ZeroDivisionError
    assert bool((layer.weight == 2).all()), "also after an error"


def test_the_average_is_what_is_evaluated_and_saved_and_the_weights_are_what_is_trained(tmp_path: Path) -> None:
    coach = prepared(tmp_path, "lr=0.3")
    evaluate, at_evaluation = coach.evaluate, []

    def watched(prefix: str = "valid") -> None:
        at_evaluation.append(weights(coach))
        evaluate(prefix)

    coach.evaluate = watched  # type: ignore[method-assign]
    coach.fit()
    *of_valid, of_test = at_evaluation
    last, best = (load_checkpoint(coach.run.checkpoint_file(which)) for which in ("last", "best"))
    assert same(last["model"], of_valid[3])
    assert same(best["model"], of_valid[best["epoch"]])
    assert same(of_test, best["model"])
    assert not same(last["average"]["weights"], last["model"])
    assert last["average"]["n_steps"] == 3 * 10
    again = build(resolve("bprmf", SMALL))
    again.model.load_state_dict(best["model"])
    assert again.score("valid", coach.cfg, coach.cfg["monitors"]) == (coach.state.best and coach.state.best.values)


def test_it_changes_no_weight_that_is_trained(tmp_path: Path) -> None:
    plain, averaged = prepared(tmp_path, "ema_decay=null"), prepared(tmp_path)
    for coach in (plain, averaged):
        coach.fit()
    ours, theirs = (load_checkpoint(coach.run.checkpoint_file("last")) for coach in (averaged, plain))
    assert same(ours["average"]["weights"], theirs["model"])
    assert "average" not in theirs


def in_training(coach: Coach, after: int) -> None:
    after_batch, done = coach._after_step, 0

    def ask(step: int) -> None:
        nonlocal done
        done += 1
        coach._interrupts.requested = done == after
        after_batch(step)

    coach._after_step = ask  # type: ignore[method-assign]


def in_evaluation(coach: Coach, after: int) -> None:
    after_block, done = coach._after_block, 0

    def ask(split: str, so_far: int, total: int) -> None:
        nonlocal done
        done += 1
        coach._interrupts.requested = done == after
        after_block(split, so_far, total)

    coach._after_block = ask  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("stop", "after"), [(in_training, 1), (in_training, 14), (in_evaluation, 1), (in_evaluation, 3)]
)
@pytest.mark.parametrize("optimizer", ["adam", "lazy_adam", "row_adagrad"])
def test_a_run_that_is_stopped_anywhere_resumes_to_the_same_bytes(
    tmp_path: Path, stop: Callable[[Coach, int], None], after: int, optimizer: str
) -> None:
    whole = prepared(tmp_path, f"optimizer={optimizer}")
    numbers = whole.fit()
    coach = prepared(tmp_path, f"optimizer={optimizer}")
    stop(coach, after)
    with pytest.raises(Interrupted):
        coach.fit()
    resumed = prepared(tmp_path, f"optimizer={optimizer}", run=coach.run)
    again = resumed.fit()
    assert [again[key] for key in ("best_epoch", "valid", "test")] == [
        numbers[key] for key in ("best_epoch", "valid", "test")
    ]
    for which in ("best", "last"):
        ours, theirs = (load_checkpoint(each.run.checkpoint_file(which)) for each in (resumed, whole))
        assert same(ours["model"], theirs["model"])
    assert same(ours["average"]["weights"], theirs["average"]["weights"])
    assert ours["average"]["n_steps"] == theirs["average"]["n_steps"]


def _nan(state: dict[str, Any]) -> None:
    next(iter(state["model"].values())).fill_(float("nan"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("average"), "it has no average of the weights, unlike the run"),
        (lambda state: state["average"].update(n_steps=-1), "n_steps of the average must be an integer >= 0, found -1"),
        (lambda state: state["average"].update(weights={}), "the weights beside their average are of another model"),
        (_nan, "holds NaN or infinity"),
    ],
)
def test_a_checkpoint_that_is_not_sound_is_refused(tmp_path: Path, damage: Callable[[Any], Any], message: str) -> None:
    coach = prepared(tmp_path, "epochs=1")
    coach.fit()
    file = coach.run.checkpoint_file("last")
    state = load_checkpoint(file)
    damage(state)
    save_checkpoint(file, state)
    with pytest.raises(CheckpointError, match=message):
        prepared(tmp_path, "epochs=1", run=coach.run).resume()


@pytest.mark.parametrize("decay", ["0", "1", "-0.1", "1.5", "nan"])
def test_a_decay_out_of_bounds_is_refused(decay: str) -> None:
    with pytest.raises(ConfigError, match="ema_decay"):
        resolve("bprmf", [f"ema_decay={decay}"])
