"""Do the optimizer steps of a run: sum the gradients of some batches, clip them, step, and average the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from torch import Tensor, nn

from recrun.errors import ConfigError, Fault
from recrun.training.steps.gradients import average_gradients, clip_gradients, gradient_norm
from recrun.training.steps.schedule import Schedule, StepSchedule
from recrun.training.steps.weight_average import WeightAverage

if TYPE_CHECKING:
    from recrun.data.postprocessing.base import Pipe

_DEFAULTS: Final[Mapping[str, Any]] = {"clip_norm": None, "accumulate": 1, "ema_decay": None}
"""The settings of the steps, as they are in a config that has none of them."""


class OptimizerSteps:
    """Does the optimizer steps of a run.

    Args:
        optimizer: None for a model in closed form.
        lr_scheduler: the schedule of its learning rate, or a script's own one of torch; None to keep the rate.
        cfg: the settings of the run: `clip_norm`, `accumulate`, `ema_decay`; those that are missing are as by default.
        model: the model whose weights are averaged.

    Attributes:
        settings: those of these settings that are not as by default.
        average: the average of the weights; None if there is none.
        exchange: called before each step, to add up the gradients of several processes; None for one process.
        norm: returns the norm of the gradients of parameters; another one where some are in other processes.
    """

    def __init__(
        self,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        cfg: Mapping[str, Any] | None = None,
        model: nn.Module | None = None,
    ) -> None:
        given = {key: (cfg or {}).get(key, default) for key, default in _DEFAULTS.items()}
        self._optimizer, self._lr_scheduler = optimizer, lr_scheduler
        self._clip_norm: float | None = given["clip_norm"]
        self._accumulate: int = given["accumulate"]
        self._by_step = lr_scheduler if isinstance(lr_scheduler, StepSchedule) else None
        self._n_summed = 0
        self.exchange: Callable[[], None] | None = None
        self.norm: Callable[[Sequence[Tensor]], Tensor] = gradient_norm
        decay = given["ema_decay"]
        self.average = None if decay is None or model is None else WeightAverage(model, decay)
        self.settings = tuple(key for key, value in given.items() if value != _DEFAULTS[key])

    @property
    def is_between(self) -> bool:
        """Whether every gradient so far was used in a step, so that the run may be saved here."""
        return self._n_summed == 0

    def plan(self, pipe: Pipe) -> None:
        """Tell a schedule by steps how many there are in an epoch.

        Args:
            pipe: the pipe of the training batches.

        Raises:
            ConfigError: this is not known, or does not fit the settings of the schedule.
        """
        if self._by_step is not None:
            n_batches = pipe.n_batches("train")
            self._by_step.plan(None if n_batches is None else math.ceil(n_batches / self._accumulate))

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a batch, and add them to those of the batches since the last step."""
        if self._n_summed == 0:
            self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._n_summed += 1

    def step(self) -> None:
        """Do a step if there are gradients of `accumulate` batches."""
        if self._n_summed == self._accumulate:
            self.finish()

    def finish(self) -> None:
        """Do a step if there are gradients of any batches; after the last one of an epoch they may be fewer."""
        if self._n_summed == 0:
            return
        if self.exchange is not None:
            self.exchange()
        if self._n_summed > 1:
            average_gradients(self.parameters(), self._n_summed)
        if self._clip_norm is not None:
            clip_gradients(self.parameters(), self._clip_norm, self.norm)
        self._optimizer.step()
        self._n_summed = 0
        if self.average is not None:
            self.average.update()
        if self._by_step is not None:
            self._by_step.step()

    def end_epoch(self, value: float | None) -> None:
        """Step the schedule after an epoch, unless it is stepped after each optimizer step.

        Args:
            value: how good the model is, larger is better; None if this epoch was not evaluated.
        """
        if self._by_step is not None:
            return
        if isinstance(self._lr_scheduler, Schedule):
            self._lr_scheduler.step(value)
        elif self._lr_scheduler is not None:
            self._lr_scheduler.step()

    def refuse_another_loop(self) -> None:
        """Check that nothing is set that a script's own `train_per_epoch` would leave out.

        Raises:
            ConfigError: something is.
        """
        message = "a train_per_epoch() of your own does the optimizer steps itself; remove the setting"
        left_out = [*self.settings, *(() if self._by_step is None else ("lr_scheduler",))]
        if left_out:
            raise ConfigError([Fault(message, key=key) for key in left_out])

    def parameters(self) -> Iterator[Tensor]:
        """Return what is stepped, by group."""
        return (parameter for group in self._optimizer.param_groups for parameter in group["params"])
