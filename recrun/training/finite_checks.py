"""Stop a run whose loss, parameters or metrics become NaN or infinite."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from recrun.errors import CheckpointError, TrainingError
from recrun.memory import is_out_of_memory
from recrun.metrics.undefined import Undefined
from recrun.runs.folder import RunFolder
from recrun.training.loop_state import TrainingState

_LOSSES: Final = 100
"""Steps between checks of the losses; each check waits for the device."""
_COSTLY: Final = ("batch_size", "n_negatives", "embedding_dim", "max_length", "eval_memory")
"""Settings by which memory is saved, those first that leave the model as it is."""
_SECONDS: Final = 1.0
"""Seconds between checks of all parameters, in addition to those before each checkpoint and at the end of an epoch."""


class Guard:
    """Checks the losses, parameters and metrics of a run, and raises TrainingError at the first that is not finite.

    Args:
        model: the model that is trained.
        state: the state of the run, with its losses.
        run: its run folder, which holds the last checkpoint; None outside a run.
    """

    def __init__(self, model: nn.Module, state: TrainingState, run: RunFolder | None = None) -> None:
        self._model = model
        self._state = state
        self._run = run
        self._looked = time.monotonic()

    def look(self) -> None:
        """Check after a step whatever is due.

        Raises:
            TrainingError: a loss, parameter or gradient is not finite.
        """
        if len(self._state.pending) >= _LOSSES:
            self._check_losses()
            if time.monotonic() - self._looked > _SECONDS:
                self._check_parameters()

    def check(self) -> None:
        """Add the losses since the last check to the epoch's mean, and check everything.

        Raises:
            TrainingError: a loss, parameter or gradient is not finite.
        """
        self._check_losses()
        self._check_parameters()

    def check_fit(self) -> None:
        """Check a closed-form model after its fit.

        Raises:
            TrainingError: it holds NaN.
        """
        self._refuse(not_numbers(self._model), "the model is not finite after its fit")

    def check_metrics(self, values: Mapping[str, float], where: str) -> None:
        """Check the metrics of an evaluation; one that is `Undefined` on the data is no fault of the model.

        Raises:
            TrainingError: another is not finite.
        """
        bad = {
            name: value
            for name, value in values.items()
            if not isinstance(value, Undefined) and not math.isfinite(value)
        }
        if bad:
            found = ", ".join(f"{name} on {where} is {value}" for name, value in bad.items())
            raise TrainingError(
                f"{found}: the model's predictions overflow, or the metric divides by zero. {last_good(self._run)}"
            )

    def explain(self, error: BaseException, cfg: Mapping[str, Any]) -> BaseException:
        """Return an error of the file system, or of memory, as a TrainingError that names the last checkpoint.

        One of a checkpoint becomes a TrainingError too. Other errors are returned unchanged.

        Args:
            error: what ended the run.
            cfg: the settings of the run, of which those that cost memory are named.
        """
        if isinstance(error, CheckpointError):
            return TrainingError(str(error))
        if is_out_of_memory(error):
            costly = [f"{key} ({cfg[key]})" for key in _COSTLY if cfg.get(key) is not None]
            where = "GPU memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
            return TrainingError(f"out of {where}; lower one of {', '.join(costly)}. {last_good(self._run)}")
        if not isinstance(error, OSError) or self._run is None:
            return error
        file = f": {error.filename}" if error.filename else ""
        reason = f"{error.strerror or error}{file}"
        return TrainingError(f"the run {self._run.path} stopped: {reason}. {last_good(self._run)}")

    def _check_losses(self) -> None:
        state = self._state
        looked_at = len(state.pending)
        bad = state.pending.drain(state.loss)
        if bad is not None:
            step = max(state.step - looked_at + bad + 1, 1)
            spoilt = not_finite(self._model)
            also = f" (nor are {', '.join(spoilt[:3])})" if spoilt else ""
            where = f"in epoch {state.epoch + 1}, step {step}"
            raise TrainingError(f"the loss is not finite {where}{also}; try a smaller lr. {last_good(self._run)}")

    def _check_parameters(self) -> None:
        self._looked = time.monotonic()
        where = f"in epoch {self._state.epoch + 1}, by step {self._state.step}"
        self._refuse(not_finite(self._model), f"the model is not finite {where}; try a smaller lr")

    def _refuse(self, names: Sequence[str], message: str) -> None:
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise TrainingError(f"{message}: {', '.join(names[:3])}{more}. {last_good(self._run)}")


def last_good(run: RunFolder | None) -> str:
    """Return a sentence that says where the last complete state of a run is."""
    if run is None:
        return "There is no checkpoint"
    last = run.checkpoint_file("last")
    if not run.path.exists():
        return f"The folder {run.path} is gone"
    return f"The last good checkpoint is {last}" if last.exists() else "There is no checkpoint yet"


@torch.no_grad()
def not_finite(model: nn.Module) -> list[str]:
    """Return the names of the parameters and gradients that hold NaN or infinity.

    If all are finite, this waits for the device once and reads each tensor once.
    """
    named = [(name, tensor) for name, tensor in _trained(model) if tensor.is_floating_point() and tensor.numel()]
    if not named:
        return []
    device = named[0][1].device
    # A sum is finite unless a term is not, or the sum overflows; then each tensor is checked by itself.
    sums = [_sum(tensor).to(device, torch.float32) for _, tensor in named]
    if bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in named if not bool(tensor.isfinite().all())]


@torch.no_grad()
def not_numbers(model: nn.Module) -> list[str]:
    """Return the names of the buffers that hold NaN, as those of a model in closed form may."""
    floating = [(name, buffer) for name, buffer in model.named_buffers() if buffer.is_floating_point()]
    # A NaN makes the sum NaN. Only then is each entry looked at, which takes a byte for each.
    return [name for name, buffer in floating if bool(_sum(buffer).isnan()) and bool(buffer.isnan().any())]


def is_finite(tensor: Tensor) -> bool:
    """Return whether all numbers of a tensor are finite; takes memory for a look at each only if the sum is not."""
    return bool(_sum(tensor).isfinite()) or bool(tensor.isfinite().all())


def _sum(tensor: Tensor) -> Tensor:
    """Return the sum in the tensor's own type, which is fast and takes no copy, or in float32 for the small float16."""
    return tensor.sum(dtype=torch.float32) if tensor.dtype == torch.float16 else tensor.sum()


def _trained(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        yield name, parameter.detach()
        gradient = parameter.grad
        if gradient is not None:
            yield f"the gradient of {name}", gradient._values() if gradient.is_sparse else gradient
