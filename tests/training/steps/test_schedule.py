"""Schedules by optimizer steps: their rates, and that a run steps them with the optimizer, also after a resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer

from recrun.config.resolve import resolve
from recrun.config.same_settings import refused_changes
from recrun.errors import ConfigError
from recrun.launcher import Coach
from recrun.registry import SCHEDULERS
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder
from recrun.training.schedulers import StepSchedule
from recrun.training.stop_signals import Interrupted
from recrun.workflows.build import build, prepare
from recrun.workflows.dry_run.estimate import estimate

BY_STEPS = ["cosine_steps", "linear", "warmup_steps"]
SMALL = [
    *("n_users=100", "n_items=60", "n_interactions=1500", "epochs=3", "batch_size=128", "lr=0.02", "embedding_dim=8"),
    *("device=cpu", "threads=1", "verbose=0", "plots=false"),
]
BATCHES = 10


def optimizer(*rates: float) -> Optimizer:
    return SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.1,)], lr=0.1)


def series(name: str, n: int, *, epochs: int = 3, steps_per_epoch: int = 4, **settings: Any) -> list[float]:
    schedule = SCHEDULERS.get(name)(optimizer(), epochs, **settings)
    schedule.plan(steps_per_epoch)
    rates = []
    for _ in range(n):
        rates.append(schedule.rates[0])
        schedule.step()
    return rates


def prepared(tmp_path: Path, *options: str, run: RunFolder | None = None) -> Coach:
    keys = {option.partition("=")[0] for option in options}
    kept = [option for option in SMALL if option.partition("=")[0] not in keys]
    return prepare(resolve("bprmf", [*kept, *options]), runs=tmp_path, run=run, reporters=lambda run, epoch: [])


def record_rates(coach: Coach) -> list[float]:
    """Return a list that the rate of each optimizer step is added to."""
    rates, step = [], coach.optimizer.step

    def watched(*args: Any) -> Any:
        rates.append(coach.optimizer.param_groups[0]["lr"])
        return step(*args)

    coach.optimizer.step = watched
    return rates


def test_the_schedules_by_steps_are_known() -> None:
    built = {component.name: SCHEDULERS.get(component.name)(optimizer(), 3) for component in SCHEDULERS}
    assert [name for name, schedule in built.items() if isinstance(schedule, StepSchedule)] == BY_STEPS
    uses = [component.name for component in SCHEDULERS if component.traits.uses_epochs]
    assert uses == ["cosine", "cosine_steps", "linear"]


def test_linear_rises_from_0_and_falls_to_the_smallest_rate() -> None:
    assert series("linear", 13) == pytest.approx([0.1 * (12 - t) / 12 for t in range(13)])
    rates = series("linear", 14, warmup_steps=4, lr_min=0.02)
    assert rates[:5] == pytest.approx([0.0, 0.025, 0.05, 0.075, 0.1])
    assert rates[5:13] == pytest.approx([0.02 + 0.08 * (12 - t) / 8 for t in range(5, 13)])
    assert rates[12:] == [0.02, 0.02], "it stays if training goes on"


def test_cosine_by_steps_is_the_cosine_of_the_steps_after_the_rise() -> None:
    rates = series("cosine_steps", 13, warmup_steps=4, lr_min=0.02)
    assert rates[:4] == pytest.approx([0.0, 0.025, 0.05, 0.075])
    assert rates[4:] == pytest.approx([0.02 + 0.04 * (1 + math.cos(math.pi * (t - 4) / 8)) for t in range(4, 13)])
    assert series("cosine_steps", 3, epochs=3, steps_per_epoch=1) == series_of_epochs(3)


def series_of_epochs(n: int) -> list[float]:
    schedule = SCHEDULERS.get("cosine")(optimizer(), n)
    rates = []
    for _ in range(n):
        rates.append(schedule.rates[0])
        schedule.step()
    return rates


def test_warmup_by_steps_rises_then_stays() -> None:
    assert series("warmup_steps", 5, warmup_steps=3) == pytest.approx([0, 0.1 / 3, 0.2 / 3, 0.1, 0.1])
    assert series("warmup_steps", 2, warmup_steps=0) == [0.1, 0.1]


@pytest.mark.parametrize(("accumulate", "n_steps"), [(1, 30), (3, 12), (4, 9)])
def test_a_run_has_the_rate_of_each_of_its_steps(tmp_path: Path, accumulate: int, n_steps: int) -> None:
    coach = prepared(tmp_path, "lr_scheduler=linear", "warmup_steps=5", f"accumulate={accumulate}")
    assert coach.dataset.n_batches("train") == BATCHES
    rates = record_rates(coach)
    coach.fit()
    rise = [0.02 * t / 5 for t in range(5)]
    assert rates == pytest.approx(rise + [0.02 * (n_steps - t) / (n_steps - 5) for t in range(5, n_steps)])


@pytest.mark.parametrize("name", BY_STEPS)
@pytest.mark.parametrize("stop_after", [3, 10, 17])
def test_a_run_that_is_stopped_within_an_epoch_goes_on_with_the_same_rates(
    tmp_path: Path, name: str, stop_after: int
) -> None:
    options = [f"lr_scheduler={name}", "warmup_steps=7", "early_stop_patience=2", "accumulate=2"]
    whole = prepared(tmp_path, *options)
    expected = record_rates(whole)
    numbers = whole.fit()
    coach = prepared(tmp_path, *options)
    before, after_batch, done = record_rates(coach), coach._after_step, 0

    def ask(step: int) -> None:
        nonlocal done
        done += 1
        coach._interrupts.requested = coach._interrupts.requested or done == stop_after
        after_batch(step)

    coach._after_step = ask  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        coach.fit()
    resumed = prepared(tmp_path, *options, run=coach.run)
    after = record_rates(resumed)
    again = resumed.fit()
    assert [*before, *after] == expected
    assert (again["valid"], again["test"]) == (numbers["valid"], numbers["test"])
    ours, theirs = (load_checkpoint(each.run.checkpoint_file("last")) for each in (resumed, whole))
    assert ours["lr_scheduler"] == theirs["lr_scheduler"]
    assert ours["lr_scheduler"]["step"] == len(expected)
    assert all(torch.equal(ours["model"][key], theirs["model"][key]) for key in theirs["model"])


def test_a_run_that_ends_at_a_stop_epoch_has_the_rates_of_one_of_all_epochs(tmp_path: Path) -> None:
    whole, cut = (prepared(tmp_path, "lr_scheduler=linear", *options) for options in ([], ["stop_epoch=2"]))
    expected, found = record_rates(whole), record_rates(cut)
    whole.fit()
    cut.fit()
    assert found == expected[: 2 * BATCHES]


@pytest.mark.parametrize(("name", "may"), [("linear", False), ("cosine_steps", False), ("warmup_steps", True)])
def test_epochs_can_be_raised_later_unless_the_rates_depend_on_them(name: str, may: bool) -> None:
    config = dict(resolve("bprmf", [f"lr_scheduler={name}"]).config)
    assert (refused_changes(config, {**config, "epochs": config["epochs"] + 1}) == {}) is may


def test_a_rise_that_outlasts_the_training_is_refused_before_it_starts(tmp_path: Path) -> None:
    given = [*SMALL, "lr_scheduler=linear", "warmup_steps=30"]
    with pytest.raises(ConfigError, match="warmup_steps: expected fewer than the 30 steps of the training, found 30"):
        estimate(resolve("bprmf", given))
    with pytest.raises(ConfigError, match="warmup_steps: expected fewer than the 30 steps"):
        prepare(resolve("bprmf", given), runs=tmp_path)
    assert not list(tmp_path.iterdir()), "no run was made"


def test_data_that_does_not_tell_its_batches_is_refused() -> None:
    schedule = SCHEDULERS.get("linear")(optimizer(), 3)
    with pytest.raises(ConfigError, match="lr_scheduler: needs the number of batches of an epoch"):
        schedule.plan(None)
    SCHEDULERS.get("warmup_steps")(optimizer(), 3).plan(None)


@pytest.mark.parametrize("name", ["linear", "cosine_steps"])
def test_a_smallest_rate_above_the_starting_rate_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^lr_min: expected at most lr, 0.1, found 0.5$"):
        SCHEDULERS.get(name)(optimizer(), 3, lr_min=0.5)
    with pytest.raises(ConfigError, match=r"lr_min: expected at most lr, 0\.01, found 0\.5"):
        resolve("bprmf", [f"lr_scheduler={name}", "lr=0.01", "lr_min=0.5"])


def test_an_own_training_loop_and_a_schedule_by_steps_are_refused(tmp_path: Path) -> None:
    class Own(Coach):
        def train_per_epoch(self) -> None:
            raise AssertionError

    resolved = resolve("bprmf", [*SMALL, "lr_scheduler=warmup_steps"])
    built = build(resolved)
    parts = {"model": built.model, "dataset": built.dataset, "criterion": built.criterion}
    coach = Own(**parts, optimizer=built.optimizer, lr_scheduler=built.lr_scheduler)
    with pytest.raises(ConfigError, match=r"lr_scheduler: a train_per_epoch\(\) of your own"):
        coach.compile(resolved.config, resolved.config.monitors, runs=tmp_path)


def test_a_schedule_of_torch_in_a_script_is_stepped_after_each_epoch(tmp_path: Path) -> None:
    resolved = resolve("bprmf", SMALL)
    built = build(resolved)
    schedule = torch.optim.lr_scheduler.StepLR(built.optimizer, 1, gamma=0.5)
    parts = {"model": built.model, "dataset": built.dataset, "criterion": built.criterion}
    coach = Coach(**parts, optimizer=built.optimizer, lr_scheduler=schedule)
    coach.compile(resolved.config, resolved.config.monitors, runs=tmp_path, reporters=lambda run, epoch: [])
    coach.fit()
    assert built.optimizer.param_groups[0]["lr"] == pytest.approx(0.02 / 8)
