"""Hold the state of a run: its position, the best evaluation, and running means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recrun.config.monitor_names import LOSS, MetricName, parse_monitor
from recrun.errors import RegistryError, TrainingError
from recrun.metrics.undefined import Undefined
from recrun.registry import METRICS
from recrun.registry.user_files import is_file_reference


class LossTrace:
    """Losses of the steps since the last check, kept on the device so that no step waits for it."""

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, int, str]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, loss: float | Tensor, n: int, mode: str) -> None:
        """Keep the loss of one step (its mean or sum over n rows)."""
        tensor = loss.detach() if isinstance(loss, Tensor) else torch.tensor(float(loss), dtype=torch.float64)
        self._pending.append((tensor, n, mode))

    def drain(self, meter: AverageMeter) -> int | None:
        """Move the kept losses into a running mean, up to the first that is not finite.

        Returns:
            The position of the first loss that is not finite, counted from 0, or None when all are.
        """
        if not self._pending:
            return None
        tensors, counts, modes = zip(*self._pending, strict=True)
        self._pending = []
        values = torch.stack([tensor.double() for tensor in tensors]).tolist()
        for position, (value, n, mode) in enumerate(zip(values, counts, modes, strict=True)):
            if not math.isfinite(value):
                return position
            meter.update(value, n, mode)
        return None


class Meters:
    """The monitored metrics except the loss, by split: running means, and final values.

    Args:
        names: the monitored metrics, without the loss.
    """

    def __init__(self, names: Sequence[MetricName] = ()) -> None:
        self.names = list(names)
        self._meters: dict[str, dict[MetricName, AverageMeter]] = {}
        self._finished: dict[str, dict[str, float]] = {}

    def select(self, pool: Sequence[str] | None) -> list[MetricName]:
        """Return the monitored metrics that a pool names: `ndcg` at every monitored cutoff, `ndcg@20` alone.

        Raises:
            RegistryError: a word of the pool is not a metric.
        """
        if pool is None:
            return self.names
        chosen: list[MetricName] = []
        for text in pool:
            word = text.lower()
            if word == LOSS:
                chosen.append(MetricName(LOSS))
            elif "@" in word or is_file_reference(text):
                chosen += [name for name in self.names if name == parse_monitor(text)]
            elif word in METRICS:
                chosen += [name for name in self.names if name.name == word]
            else:
                METRICS.describe(word)  # raises an error that names the nearest metric
                raise RegistryError(f"{text!r} cannot be monitored")
        return list(dict.fromkeys(chosen))

    def add_value(self, value: float, n: int, mode: str, split: str, name: MetricName) -> None:
        """Add a value for n rows, their mean or sum by `mode`."""
        self._meter(split, name).update(value, n, mode)

    def add_predictions(self, predictions: Tensor, targets: Tensor, split: str, names: Sequence[MetricName]) -> None:
        """Add dense predictions and targets (B, N); the metrics share one top-k computation.

        Rows for which a metric is undefined (no relevant items) are left out of its mean.
        """
        from recrun.metrics.on_tensors import dense_metrics

        ranked = [name for name in names if name.name != LOSS]
        for name, per_row in zip(ranked, dense_metrics(predictions, targets, ranked).values(), strict=True):
            defined = per_row[~per_row.isnan()].double()
            self._meter(split, name).update(float(defined.sum()), len(defined), "sum")

    def record(self, split: str, values: Mapping[str, float]) -> None:
        """Record final values by metric, which replace running means."""
        self._finished[split] = dict(values)

    def take(self, split: str) -> dict[str, float]:
        """Return the values of a split and forget them; a metric that no row defines is `Undefined`."""
        means = {str(name): self._mean(name, meter) for name, meter in self._meters.pop(split, {}).items()}
        return means | self._finished.pop(split, {})

    def count(self, split: str) -> int:
        """Return the number of rows in a split's means so far, 0 if there are none."""
        return max((meter.count for meter in self._meters.get(split, {}).values()), default=0)

    def state_dict(self, split: str) -> dict[str, list[float]]:
        """Return a split's running means: total and count by metric."""
        return {str(name): [meter.total, meter.count] for name, meter in self._meters.get(split, {}).items()}

    def load_state_dict(self, split: str, state: Mapping[str, Sequence[float]]) -> None:
        """Restore the means that `state_dict` returned."""
        names = {str(name): name for name in self.names}
        self._meters[split] = {
            names[name]: AverageMeter(float(total), int(count)) for name, (total, count) in state.items()
        }

    @staticmethod
    def _mean(name: MetricName, meter: AverageMeter) -> float:
        if meter.count:
            return meter.average
        from recrun.metrics.on_tensors import nobody

        return Undefined(nobody(name))

    def _meter(self, split: str, name: MetricName) -> AverageMeter:
        return self._meters.setdefault(split, {}).setdefault(name, AverageMeter())


def require_all(values: Mapping[str, Any], names: Sequence[MetricName], split: str) -> None:
    """Check that an evaluation has a value for every monitor.

    Raises:
        TrainingError: it has not; the message names the monitors without a value.
    """
    missing = [str(name) for name in names if str(name) not in values]
    if missing:
        raise TrainingError(f"evaluate() gave no value for {', '.join(missing)} on {split}; its pools must name them")


@dataclass
class AverageMeter:
    """A running mean over elements, accumulated in double precision.

    >>> meter = AverageMeter()
    >>> meter.update(2.0, n=3); meter.update(4.0, n=1)
    >>> meter.average
    2.5
    """

    total: float = 0.0
    count: int = 0

    def update(self, value: float, n: int = 1, mode: str = "mean") -> None:
        """Add a batch.

        Args:
            value: the batch's mean, or its sum.
            n: how many elements the batch has.
            mode: whether `value` is the "mean" or the "sum".
        """
        if mode not in ("mean", "sum"):
            raise ValueError(f"mode must be 'mean' or 'sum', found {mode!r}")
        self.total += value * n if mode == "mean" else value
        self.count += n

    @property
    def average(self) -> float:
        """The mean of everything added; NaN if nothing was."""
        return self.total / self.count if self.count else math.nan

    def reset(self) -> None:
        """Forget everything added."""
        self.total, self.count = 0.0, 0


@dataclass
class Best:
    """The best evaluation so far: after how many epochs, the criterion's value, all monitored values.

    Without a validation part, it is the last model, which has no value.
    """

    epoch: int
    value: float | None
    values: dict[str, float]


@dataclass
class TrainingState:
    """The state of a run: its position, the best and the last validation, and the running means.

    It does not grow with the run; what was measured is in `recrun.runs.history`.

    Args:
        epoch: whole epochs trained.
        step: batches trained in the current epoch.
        evaluated: the last epoch that was validated, -1 if none was.
        last_value: the value of the criterion for the best epoch at that validation.
        best: the best validation so far.
        stale: validations since the best one.
        stopped_early: whether training ended because `stale` reached the patience.
        loss: the running mean loss of the current epoch.
        pending: the losses that are not in that mean yet.
        meters: the running means of the other monitors.
        users: how many users were ranked and how many were skipped (no relevant items), by split, at its last
            evaluation.
        seconds: time spent, by activity.
    """

    epoch: int = 0
    step: int = 0
    evaluated: int = -1
    last_value: float | None = None
    best: Best | None = None
    stale: int = 0
    stopped_early: bool = False
    loss: AverageMeter = field(default_factory=AverageMeter)
    pending: LossTrace = field(default_factory=LossTrace)
    meters: Meters = field(default_factory=Meters)
    users: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "evaluate": 0.0})

    @property
    def mean_loss(self) -> float | None:
        """The mean loss of the current epoch; None before its first check."""
        return self.loss.average if self.loss.count else None

    def end_epoch(self, epoch: int) -> dict[str, float]:
        """Finish an epoch of training, and return its mean loss and monitored values."""
        loss = {} if self.mean_loss is None else {LOSS: self.mean_loss}
        values = loss | self.meters.take("train")
        self.loss.reset()
        self.epoch, self.step = epoch + 1, 0
        return values

    def state_dict(self, history: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state as plain data, with the position in the history of the run."""
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "evaluated": self.evaluated,
            "last_value": self.last_value,
            "best": vars(self.best) if self.best else None,
            "stale": self.stale,
            "loss": vars(self.loss),
            "history": dict(history),
            "users": {split: list(counts) for split, counts in self.users.items()},
            "seconds": self.seconds,
        }
        return {"progress": progress, "meters": self.meters.state_dict("train")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        saved = state["progress"]
        self.epoch, self.step = saved["epoch"], saved["step"]
        self.evaluated, self.last_value = saved["evaluated"], saved["last_value"]
        self.best = Best(**saved["best"]) if saved["best"] else None
        self.stale = saved["stale"]
        self.loss = AverageMeter(**saved["loss"])
        self.users = {split: (int(ranked), int(skipped)) for split, (ranked, skipped) in saved["users"].items()}
        self.seconds = dict(saved["seconds"])
        self.meters.load_state_dict("train", state["meters"])
