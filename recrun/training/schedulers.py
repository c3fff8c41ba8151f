"""Schedule the learning rate; the training loop steps a schedule once per epoch.

A scheduler is built by `factory(optimizer, epochs, **settings)`. Epoch e, counted from 0, is trained with the rate in
the optimizer after e calls of `step`. Rates are computed from the base rate and e in closed form, not from the previous
rate, so the state of a schedule is a few plain numbers and a resumed run continues exactly the same series.

torch's schedulers are not used: its cosine and plateau multiply the previous rate, which changes the last digits of the
rates, and all of them add `initial_lr` to the parameter groups of every checkpoint.

Traits: `needs_value`: `step` needs the value of the criterion for the best epoch; `uses_epochs`: the rates depend on
the number of epochs, so the epochs of a run cannot be raised later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer

from recrun.errors import ConfigError, Fault
from recrun.registry import SCHEDULERS
from recrun.types import Annotated, Gt, Le, NonNegativeFloat, NonNegativeInt, PositiveInt, Where


class Schedule:
    """Set the rate of every parameter group from its base rate and the epoch.

    Args:
        optimizer: the optimizer whose rates are set; their current values are the base rates.
        rate: function of (base rate, epoch) that returns the epoch's rate.
    """

    def __init__(self, optimizer: Optimizer, rate: Callable[[float, int], float]) -> None:
        self._optimizer = optimizer
        self._rate = rate
        self._base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.epoch = 0
        self._apply()

    @property
    def rates(self) -> list[float]:
        """The current rate of each parameter group."""
        return [float(group["lr"]) for group in self._optimizer.param_groups]

    def step(self, value: float | None = None) -> None:
        """Go on to the next epoch.

        Args:
            value: how good the model is, larger is better; only `Plateau` uses it.
        """
        self.epoch += 1
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = self._rate(base, self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: plain numbers."""
        return {"epoch": self.epoch, "base_rates": list(self._base_rates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` returned, and set the optimizer's rates by it.

        Raises:
            ValueError: it is not of this schedule.
        """
        rates = state["base_rates"]
        if len(rates) != len(self._base_rates) or not all(
            type(rate) is float and 0 <= rate < math.inf for rate in rates
        ):
            raise ValueError(f"expected {len(self._base_rates)} base rates, found {rates}")
        self.epoch, self._base_rates = _count(state["epoch"]), list(rates)
        self._apply()


class Plateau(Schedule):
    """Lower the rate when the criterion for the best epoch has stopped improving.

    Args:
        optimizer: the optimizer whose rates are set.
        gamma: factor of each reduction.
        patience: how many values in a row may fail to improve; the next one that fails lowers the rate.
        smallest: the rate does not go below this.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, patience: int, smallest: float) -> None:
        self._patience = patience
        self._best = -math.inf
        self._n_bad = 0
        self._n_reductions = 0
        super().__init__(optimizer, lambda base, _: max(base * gamma**self._n_reductions, min(base, smallest)))

    def step(self, value: float | None = None) -> None:
        """Go on to the next epoch.

        Args:
            value: how good the model is, larger is better (pass minus a loss), None when this epoch was not evaluated.
                NaN is not an improvement.
        """
        if value is not None and value > self._best:
            self._best, self._n_bad = float(value), 0
        elif value is not None:
            self._n_bad += 1
            if self._n_bad > self._patience:
                self._n_reductions, self._n_bad = self._n_reductions + 1, 0
        super().step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: plain numbers; `best` is None before the first value."""
        best = None if self._best == -math.inf else self._best
        return {**super().state_dict(), "best": best, "n_bad": self._n_bad, "n_reductions": self._n_reductions}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state that `state_dict` returned, and set the optimizer's rates by it."""
        self._best = -math.inf if state["best"] is None else float(state["best"])
        self._n_bad, self._n_reductions = _count(state["n_bad"]), _count(state["n_reductions"])
        super().load_state_dict(state)


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected an integer >= 0, found {value!r}")
    return value


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
