"""Monitored numbers: their names, their running means, their history, and who is told of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from recrun.errors import ConfigError, Fault, RegistryError, nearest
from recrun.registry import METRICS

LOSS = "loss"


class MetricName(NamedTuple):
    """A metric and its cutoff: `ndcg@20` is ("ndcg", 20), `auc` is ("auc", None)."""

    name: str
    k: int | None = None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"


def parse_monitor(text: str) -> MetricName:
    """Return the metric that a monitor's text names; the case of letters does not matter.

    Args:
        text: "loss", a metric without a cutoff ("auc"), or one with it ("recall@20").

    Raises:
        ConfigError: the metric is unknown, lacks its cutoff, or has one that it does not take.
    """
    name, at, cutoff = text.strip().lower().partition("@")
    if name == LOSS:
        if at:
            raise ConfigError("loss takes no cutoff; write 'loss'")
        return MetricName(LOSS)
    try:
        traits = METRICS.describe(name).traits
    except RegistryError:
        known = METRICS.names()
        message = f"unknown metric {name!r} (available: {', '.join(known)})"
        raise ConfigError(Fault(message, suggestion=nearest(name, known))) from None
    if not traits.get("cutoff", False):
        if at:
            raise ConfigError(f"{name} takes no cutoff; write {name!r}")
        return MetricName(name)
    if not at:
        raise ConfigError(f"{name} needs a cutoff; write for example '{name}@10'")
    if not (cutoff.isascii() and cutoff.isdecimal() and 0 < len(cutoff) < 10 and int(cutoff) > 0):
        raise ConfigError(f"the cutoff of {name} must be an integer >= 1, found {cutoff!r}")
    return MetricName(name, int(cutoff))


def smaller_is_better(metric: MetricName) -> bool:
    """Return whether a lower value of this metric is the better one (losses and errors)."""
    return metric.name == LOSS or bool(METRICS.describe(metric.name).traits.get("smaller_is_better", False))


@dataclass
class AverageMeter:
    """A running mean, accumulated in double precision whatever the batches' sizes.

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
            mode: "mean" or "sum": which of the two `value` is.
        """
        if mode not in ("mean", "sum"):
            raise ValueError(f"mode must be 'mean' or 'sum', found {mode!r}")
        self.total += value * n if mode == "mean" else value
        self.count += n

    @property
    def average(self) -> float:
        """The mean of all that was added; NaN when nothing was."""
        return self.total / self.count if self.count else math.nan

    def reset(self) -> None:
        """Forget everything added."""
        self.total, self.count = 0.0, 0


@dataclass
class MonitorHistory:
    """What was monitored, by split and metric: lists of (epoch, value) in the order of the run."""

    values: dict[str, dict[str, list[tuple[int, float]]]] = field(default_factory=dict)

    def append(self, split: str, epoch: int, values: Mapping[str, float]) -> None:
        """Add the values of one split after `epoch` epochs of training."""
        series = self.values.setdefault(split, {})
        for name, value in values.items():
            series.setdefault(name, []).append((epoch, float(value)))

    def state_dict(self) -> dict[str, Any]:
        """Return the history as plain lists."""
        return {
            split: {name: [list(p) for p in points] for name, points in series.items()}
            for split, series in self.values.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a history that `state_dict` returned."""
        self.values = {
            split: {name: [(int(epoch), float(value)) for epoch, value in points] for name, points in series.items()}
            for split, series in state.items()
        }


class Reporter:
    """Someone who is told how a run goes; every method does nothing unless overridden.

    An epoch number is the number of epochs the model has been trained: 0 is the untrained model.
    """

    def start(self, info: Mapping[str, Any]) -> None:
        """The run begins; `info` describes it (model, dataset, epochs, n_steps, device, run, monitors ...)."""

    def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
        """A training step of the current epoch is done (called some ten times a second at most).

        `loss` is the mean over the epoch so far, None before it was first looked at.
        """

    def evaluating(self, epoch: int, split: str, done: int, total: int) -> None:
        """`done` of `total` users are ranked."""

    def trained(self, epoch: int, values: Mapping[str, float], seconds: float) -> None:
        """An epoch of training is over."""

    def evaluated(self, epoch: int, split: str, values: Mapping[str, float], is_best: bool, seconds: float) -> None:
        """An evaluation is over."""

    def message(self, text: str, level: str = "info") -> None:
        """Something to tell the user; level is "debug", "info", "warning" or "error"."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """The run is done; `result` is the content of metrics.json."""

    def close(self) -> None:
        """The run is over, whether it went well or not."""


class Reporters(Reporter):
    """Passes everything on to several reporters, in their order; `close` reaches all of them, whatever one raises."""

    def __init__(self, reporters: Iterable[Reporter]) -> None:
        self._reporters = list(reporters)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_") or name not in vars(Reporter):
            return super().__getattribute__(name)
        methods: list[Callable[..., None]] = [getattr(reporter, name) for reporter in self._reporters]

        def call_all(*args: Any, **kwargs: Any) -> None:
            with ExitStack() as stack:
                for method in reversed(methods) if name == "close" else ():
                    stack.callback(method)
                for method in () if name == "close" else methods:
                    method(*args, **kwargs)

        return call_all
