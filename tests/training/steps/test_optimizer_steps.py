"""Optimizer steps: of how many batches they are, where a run may stop, and what a script's own loop leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.launcher import Coach
from recrun.registry import OPTIMIZERS
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.folder import RunFolder
from recrun.training.steps.optimizer_steps import OptimizerSteps
from recrun.training.stop_signals import Interrupted
from recrun.workflows.build import build, prepare

SMALL = [
    *("n_users=100", "n_items=60", "n_interactions=1500", "epochs=3", "batch_size=128", "lr=0.02", "embedding_dim=8"),
    *("device=cpu", "threads=1", "verbose=0", "plots=false"),
]
BATCHES = 10


def prepared(tmp_path: Path, *options: str, run: RunFolder | None = None) -> Coach:
    keys = {option.partition("=")[0] for option in options}
    kept = [option for option in SMALL if option.partition("=")[0] not in keys]
    resolved = resolve("bprmf", [*kept, *options])
    return prepare(resolved, runs=tmp_path, run=run, reporters=lambda run, epoch: [])


def stopped_after(coach: Coach, n_batches: int) -> int:
    """Train until a stop is asked for after some batches; return the batches of its epoch that the run was saved at."""
    after_batch, done = coach._after_step, 0

    def ask(step: int) -> None:
        nonlocal done
        done += 1
        coach._interrupts.requested = coach._interrupts.requested or done == n_batches
        after_batch(step)

    coach._after_step = ask  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        coach.fit()
    return int(load_checkpoint(coach.run.checkpoint_file("last"))["progress"]["step"])


def state(coach: Coach, which: str) -> dict[str, Any]:
    found = load_checkpoint(coach.run.checkpoint_file(which))
    return {key: found[key] for key in ("model", "optimizer", "lr_scheduler", "average", "epoch") if key in found}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)


def check_resumes(tmp_path: Path, options: list[str], stop_after: int) -> None:
    """Check that a run that is stopped and resumed has the bytes of one that is not."""
    whole = prepared(tmp_path, *options)
    numbers = whole.fit()
    coach = prepared(tmp_path, *options)
    stopped_after(coach, stop_after)
    resumed = prepared(tmp_path, *options, run=coach.run)
    again = resumed.fit()
    for key in ("best_epoch", "valid", "test", "epochs"):
        assert again[key] == numbers[key]
    for which in ("best", "last"):
        assert same(state(resumed, which), state(whole, which))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adagrad"])
def test_batches_that_are_accumulated_are_one_larger_batch(optimizer: str) -> None:
    rows, targets = torch.randn(24, 5, dtype=torch.float64), torch.randn(24, dtype=torch.float64)

    def trained(batch_size: int, accumulate: int) -> Tensor:
        torch.manual_seed(0)
        layer = nn.Linear(5, 1, dtype=torch.float64)
        steps = OptimizerSteps(OPTIMIZERS.get(optimizer)(layer.parameters(), lr=0.1), cfg={"accumulate": accumulate})
        for _ in range(3):
            for batch, target in zip(rows.split(batch_size), targets.split(batch_size), strict=True):
                steps.backward(((layer(batch)[:, 0] - target) ** 2).mean())
                steps.step()
            steps.finish()
        return layer.weight.detach()

    torch.testing.assert_close(trained(4, 3), trained(12, 1), rtol=1e-12, atol=1e-12)
    # All three batches are fewer than a step may have.
    torch.testing.assert_close(trained(8, 5), trained(24, 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "lazy_adam", "row_adagrad"])
def test_the_last_step_of_an_epoch_has_the_batches_that_are_left(tmp_path: Path, optimizer: str) -> None:
    coach = prepared(tmp_path, "accumulate=3", f"optimizer={optimizer}")
    assert coach.dataset.n_batches("train") == BATCHES
    n_steps, step = 0, coach.optimizer.step

    def count(*args: Any) -> Any:
        nonlocal n_steps
        n_steps += 1
        return step(*args)

    coach.optimizer.step = count
    coach.fit()
    assert n_steps == 3 * 4


@pytest.mark.parametrize("stop_after", [1, 5, 6, 10, 19])
def test_a_run_is_saved_between_two_steps_only(tmp_path: Path, stop_after: int) -> None:
    options = ["accumulate=4", "clip_norm=0.01", "checkpoint_minutes=1e-9"]
    coach = prepared(tmp_path, *options)
    assert stopped_after(coach, stop_after) in (0, 4, 8)
    check_resumes(tmp_path, options, stop_after)


def test_a_limit_changes_what_is_learned_and_no_limit_does_not(tmp_path: Path) -> None:
    plain, wide, narrow = (prepared(tmp_path, *options) for options in ([], ["clip_norm=1e6"], ["clip_norm=1e-4"]))
    for coach in (plain, wide, narrow):
        coach.fit()
    assert same(state(plain, "last"), state(wide, "last"))
    assert not same(state(plain, "last"), state(narrow, "last"))


def test_settings_that_an_own_loop_would_leave_out_are_refused_together(tmp_path: Path) -> None:
    class Own(Coach):
        def train_per_epoch(self) -> None:
            for batch in self.dataloader:
                loss = self.model.training_loss(batch, self.criterion)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()

    def coach(*options: str) -> Own:
        resolved = resolve("bprmf", [*SMALL, *options])
        built = build(resolved)
        own = Own(model=built.model, dataset=built.dataset, criterion=built.criterion, optimizer=built.optimizer)
        own.compile(resolved.config, resolved.config.monitors, runs=tmp_path)
        return own

    with pytest.raises(ConfigError) as error:
        coach("clip_norm=1", "accumulate=2")
    assert [fault.key for fault in error.value.faults] == ["clip_norm", "accumulate"]
    assert "a train_per_epoch() of your own does the optimizer steps itself" in str(error.value)
    assert coach().fit()["epochs"] == 3


FORMS = ["accumulate=3", "clip_norm=0.05", "ema_decay=0.9", "lr_scheduler=linear", "warmup_steps=4"]


@pytest.mark.parametrize(
    "how", [["precision=bf16"], ["num_workers=1", "optimizer=sgd", "momentum=0.9"]], ids=["bf16", "ahead"]
)
def test_steps_of_all_forms_go_with_how_a_model_is_computed(tmp_path: Path, how: list[str]) -> None:
    check_resumes(tmp_path, [*FORMS, "checkpoint_minutes=1e-9", *how], 14)


@pytest.mark.parametrize("setting", ["clip_norm=1", "accumulate=2", "ema_decay=0.9", "lr_scheduler=linear"])
def test_a_model_in_closed_form_has_no_steps(setting: str) -> None:
    with pytest.raises(ConfigError, match="is fitted in closed form and takes no training settings"):
        resolve("ease", [setting])


@pytest.mark.parametrize("setting", ["clip_norm=0", "clip_norm=-1", "accumulate=0", "clip_norm=nan", "clip_norm=inf"])
def test_settings_of_steps_out_of_bounds_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        resolve("bprmf", [setting])
