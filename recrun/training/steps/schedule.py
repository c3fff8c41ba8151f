"""Set learning rates by the epoch or the optimizer step, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch.optim import Optimizer

from recrun.errors import ConfigError, Fault


class Schedule:
    """Set the rate of every parameter group from its base rate and the epoch.

    Args:
        optimizer: the optimizer whose rates are set; their current values are the base rates.
        rate: function of (base rate, epoch) that returns the epoch's rate.
    """

    COUNTED: ClassVar[str] = "epoch"
    """What its steps are, as its state calls them."""

    def __init__(self, optimizer: Optimizer, rate: Callable[[float, int], float]) -> None:
        self._optimizer = optimizer
        self._rate = rate
        self._base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.n_steps = 0
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
        self.n_steps += 1
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = self._rate(base, self.n_steps)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs: plain numbers."""
        return {self.COUNTED: self.n_steps, "base_rates": list(self._base_rates)}

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
        self.n_steps, self._base_rates = _count(state[self.COUNTED]), list(rates)
        self._apply()


class StepSchedule(Schedule):
    """A schedule that is stepped after each step of the optimizer.

    Args:
        optimizer: the optimizer whose rates are set.
        rate: function of (base rate, step) that returns the rate of that step, counted from 0.
    """

    COUNTED = "step"

    def plan(self, steps_per_epoch: int | None) -> None:
        """Take the number of optimizer steps in an epoch, which is known once the data is; None if it is not."""


class Decay(StepSchedule):
    """Raise the rate from 0 in equal steps, then let it fall until the end of the training.

    Args:
        optimizer: the optimizer whose rates are set.
        epochs: the epochs of the training.
        rate: function of (base rate, share of the fall that is done, 0 to 1) that returns the rate.
        warmup_steps: optimizer steps of the rise.
    """

    def __init__(
        self, optimizer: Optimizer, epochs: int, rate: Callable[[float, float], float], warmup_steps: int
    ) -> None:
        self._epochs, self._fall, self._warmup_steps = epochs, rate, warmup_steps
        self._n_planned = 0
        super().__init__(optimizer, self._rate_of_step)

    def plan(self, steps_per_epoch: int | None) -> None:
        """Take the number of optimizer steps in an epoch.

        Raises:
            ConfigError: it is not known, or the training ends before the rise does.
        """
        if steps_per_epoch is None:
            message = "needs the number of batches of an epoch, which this data does not tell; choose another schedule"
            raise ConfigError(Fault(message, key="lr_scheduler"))
        self._n_planned = self._epochs * steps_per_epoch
        if self._warmup_steps >= self._n_planned > 0:
            message = f"expected fewer than the {self._n_planned} steps of the training, found {self._warmup_steps}"
            raise ConfigError(Fault(message, key="warmup_steps"))
        self._apply()

    def _rate_of_step(self, base: float, step: int) -> float:
        if step < self._warmup_steps:
            return base * step / self._warmup_steps
        progress = (step - self._warmup_steps) / max(self._n_planned - self._warmup_steps, 1)
        return self._fall(base, min(progress, 1.0))


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
