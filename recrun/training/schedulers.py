"""Schedule the learning rate; the training loop steps a schedule once per epoch, or after each step of the optimizer.

A scheduler is built by `factory(optimizer, epochs, **settings)` and returns a `Schedule`. Epoch e, counted from 0, is
trained with the rate in the optimizer after e calls of `step`; with a `StepSchedule`, so is optimizer step t, counted
from 0 over all epochs. Rates are computed from the base rate and e or t in closed form, not from the previous rate, so
the state of a schedule is a few plain numbers and a resumed run continues exactly the same series.

torch's schedulers are not used: its cosine and plateau multiply the previous rate, which changes the last digits of the
rates, and all of them add `initial_lr` to the parameter groups of every checkpoint.

Traits: `needs_value`: `step` needs the value of the criterion for the best epoch; `uses_epochs`: the rates depend on
the number of epochs, so the epochs of a run cannot be raised later.
"""

from __future__ import annotations

import math

from torch.optim import Optimizer

from recrun.errors import ConfigError, Fault
from recrun.registry import SCHEDULERS
from recrun.training.steps.schedule import Decay, Plateau, Schedule, StepSchedule
from recrun.types import Annotated, Gt, Le, NonNegativeFloat, NonNegativeInt, PositiveInt, Where

__all__ = ["Decay", "Plateau", "Schedule", "StepSchedule"]


@SCHEDULERS.register("none")
def constant(optimizer: Optimizer, epochs: int) -> Schedule:
    """Constant learning rate."""
    return Schedule(optimizer, lambda base, epoch: base)


@SCHEDULERS.register("step")
def step(
    optimizer: Optimizer,
    epochs: int,
    *,
    lr_step_size: PositiveInt = 30,
    lr_gamma: Annotated[float, Gt(0), Le(1)] = 0.1,
) -> Schedule:
    """Step decay, by a factor every `lr_step_size` epochs: lr · γ^⌊e / size⌋.

    Args:
        lr_step_size: epochs between two reductions.
        lr_gamma: factor of each reduction.
    """
    return Schedule(optimizer, lambda base, epoch: base * lr_gamma ** (epoch // lr_step_size))


@SCHEDULERS.register("exponential")
def exponential(optimizer: Optimizer, epochs: int, *, lr_gamma: Annotated[float, Gt(0), Le(1)] = 0.95) -> Schedule:
    """Exponential decay, by a factor every epoch: lr · γ^e.

    Args:
        lr_gamma: factor of each epoch.
    """
    return Schedule(optimizer, lambda base, epoch: base * lr_gamma**epoch)


@SCHEDULERS.register("cosine", uses_epochs=True)
def cosine(
    optimizer: Optimizer,
    epochs: int,
    *,
    lr_min: Annotated[NonNegativeFloat, Where("lr_min <= lr", "expected at most lr, {lr}, found {lr_min}")] = 0.0,
) -> Schedule:
    """Cosine annealing: lr_min + (lr - lr_min) (1 + cos(π e / epochs)) / 2.

    The first epoch has the full rate; `lr_min` is reached after the last one, and kept if training continues.

    *Source:* Loshchilov and Hutter, ICLR 2017 (SGDR), eq. 5, without restarts.

    Args:
        lr_min: the rate at the end; at most the starting rate.

    Raises:
        ConfigError: `lr_min` is above the starting rate.
    """
    _require_below(optimizer, lr_min)

    def rate(base: float, epoch: int) -> float:
        progress = min(epoch / max(epochs, 1), 1.0)
        return lr_min + (base - lr_min) * (1 + math.cos(math.pi * progress)) / 2

    return Schedule(optimizer, rate)


@SCHEDULERS.register("warmup")
def warmup(optimizer: Optimizer, epochs: int, *, warmup_epochs: NonNegativeInt = 5) -> Schedule:
    """Linear warmup, then a constant rate: lr · min(1, (e + 1) / (warmup_epochs + 1)).

    Args:
        warmup_epochs: number of epochs below the full rate.
    """
    return Schedule(optimizer, lambda base, epoch: base * min(1.0, (epoch + 1) / (warmup_epochs + 1)))


@SCHEDULERS.register("warmup_steps")
def warmup_by_steps(optimizer: Optimizer, epochs: int, *, warmup_steps: NonNegativeInt = 1000) -> Schedule:
    """Linear warmup by optimizer steps, then a constant rate: lr · min(1, t / warmup_steps) in step t, counted from 0.

    Args:
        warmup_steps: optimizer steps below the full rate.
    """
    return StepSchedule(optimizer, lambda base, step: base * (step / warmup_steps if step < warmup_steps else 1.0))


@SCHEDULERS.register("linear", uses_epochs=True)
def linear(
    optimizer: Optimizer,
    epochs: int,
    *,
    warmup_steps: NonNegativeInt = 0,
    lr_min: Annotated[NonNegativeFloat, Where("lr_min <= lr", "expected at most lr, {lr}, found {lr_min}")] = 0.0,
) -> Schedule:
    """Linear warmup and linear decay by optimizer steps: lr · t / w, then lr_min + (lr - lr_min) (T - t) / (T - w).

    t counts the optimizer steps of the training from 0, w is `warmup_steps`, and T how many steps all epochs have.

    *Source:* Devlin, Chang, Lee and Toutanova, NAACL 2019 (BERT), appendix A.2.

    Args:
        warmup_steps: optimizer steps below the full rate; the first of them has rate 0.
        lr_min: the rate at the end; at most the starting rate.

    Raises:
        ConfigError: `lr_min` is above the starting rate.
    """
    _require_below(optimizer, lr_min)
    return Decay(optimizer, epochs, lambda base, done: lr_min + (base - lr_min) * (1 - done), warmup_steps)


@SCHEDULERS.register("cosine_steps", uses_epochs=True)
def cosine_by_steps(
    optimizer: Optimizer,
    epochs: int,
    *,
    warmup_steps: NonNegativeInt = 0,
    lr_min: Annotated[NonNegativeFloat, Where("lr_min <= lr", "expected at most lr, {lr}, found {lr_min}")] = 0.0,
) -> Schedule:
    """Linear warmup and cosine annealing by optimizer steps.

    lr · t / w, then lr_min + (lr - lr_min) (1 + cos(π (t - w) / (T - w))) / 2; t, w and T are those of `linear`.

    *Source:* Loshchilov and Hutter, ICLR 2017 (SGDR), eq. 5, without restarts.

    Args:
        warmup_steps: optimizer steps below the full rate; the first of them has rate 0.
        lr_min: the rate at the end; at most the starting rate.

    Raises:
        ConfigError: `lr_min` is above the starting rate.
    """
    _require_below(optimizer, lr_min)

    def rate(base: float, done: float) -> float:
        return lr_min + (base - lr_min) * (1 + math.cos(math.pi * done)) / 2

    return Decay(optimizer, epochs, rate, warmup_steps)


@SCHEDULERS.register("plateau", needs_value=True)
def plateau(
    optimizer: Optimizer,
    epochs: int,
    *,
    lr_gamma: Annotated[float, Gt(0), Le(1)] = 0.5,
    lr_patience: NonNegativeInt = 5,
    lr_min: Annotated[NonNegativeFloat, Where("lr_min <= lr", "expected at most lr, {lr}, found {lr_min}")] = 0.0,
) -> Schedule:
    """Reduce the rate by a factor when the criterion for the best epoch has stopped improving.

    Args:
        lr_gamma: factor of each reduction.
        lr_patience: evaluations in a row that may fail to improve; the next one that fails lowers the rate.
        lr_min: the rate does not go below this.

    Raises:
        ConfigError: `lr_min` is above the starting rate.
    """
    _require_below(optimizer, lr_min)
    return Plateau(optimizer, lr_gamma, lr_patience, lr_min)


def _require_below(optimizer: Optimizer, lr_min: float) -> None:
    lowest = min(float(group["lr"]) for group in optimizer.param_groups)
    if lr_min > lowest:
        raise ConfigError(Fault(f"expected at most lr, {lowest:g}, found {lr_min:g}", key="lr_min"))
