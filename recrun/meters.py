"""The running means behind `Coach.monitor`, and the loss that is looked at only now and then."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from recrun.errors import RegistryError, TrainingError
from recrun.monitors import LOSS, AverageMeter, MetricName, parse_monitor
from recrun.registry import METRICS


class LossTrace:
    """Losses of the steps since the last look, kept on the device so that no step waits for it."""

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, int, str]] = []

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, loss: float | Tensor, n: int, mode: str) -> None:
        """Keep the loss of one step (its mean or sum over n rows)."""
        tensor = loss.detach() if isinstance(loss, Tensor) else torch.tensor(float(loss), dtype=torch.float64)
        self._pending.append((tensor, n, mode))

    def drain(self, meter: AverageMeter) -> int | None:
        """Move all kept losses into a running mean, up to the first that is not finite.

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
    """Running means by split and metric.

    Args:
        names: the monitored metrics, without the loss.
    """

    def __init__(self, names: Sequence[MetricName]) -> None:
        self.names = list(names)
        self._meters: dict[str, dict[MetricName, AverageMeter]] = {}

    def select(self, pool: Sequence[str] | None) -> list[MetricName]:
        """Return the monitored metrics that a pool names: `ndcg` at every monitored cutoff, `ndcg@20` alone.

        Raises:
            RegistryError: a word of the pool is no metric.
        """
        if pool is None:
            return self.names
        chosen: list[MetricName] = []
        for text in pool:
            word = text.lower()
            if word == LOSS:
                chosen.append(MetricName(LOSS))
            elif "@" in word:
                chosen += [name for name in self.names if name == parse_monitor(word)]
            elif word in METRICS:
                chosen += [name for name in self.names if name.name == word]
            else:
                METRICS.describe(word)  # raises, and names the nearest metric
                raise RegistryError(f"{text!r} cannot be monitored")
        return list(dict.fromkeys(chosen))

    def add_value(self, value: float, n: int, mode: str, split: str, name: MetricName) -> None:
        """Add one number that stands for n rows."""
        self._meter(split, name).update(value, n, mode)

    def add_predictions(self, predictions: Tensor, targets: Tensor, split: str, names: Sequence[MetricName]) -> None:
        """Add dense predictions and targets (B, N); the metrics share one top-k.

        Rows for which a metric is not defined (no relevant items) are left out of its mean.
        """
        from recrun.metrics import dense_metrics

        ranked = [name for name in names if name.name != LOSS]
        for name, per_row in zip(ranked, dense_metrics(predictions, targets, ranked).values(), strict=True):
            defined = per_row[~per_row.isnan()].double()
            self._meter(split, name).update(float(defined.sum()), len(defined), "sum")

    def take(self, split: str) -> dict[str, float]:
        """Return the means of a split and forget them."""
        return {str(name): meter.average for name, meter in self._meters.pop(split, {}).items() if meter.count}

    def count(self, split: str) -> int:
        """Return over how many rows a split's means were taken so far, 0 when there are none."""
        return max((meter.count for meter in self._meters.get(split, {}).values()), default=0)

    def state_dict(self, split: str) -> dict[str, list[float]]:
        """Return a split's means under way: total and count by metric."""
        return {str(name): [meter.total, meter.count] for name, meter in self._meters.get(split, {}).items()}

    def load_state_dict(self, split: str, state: Mapping[str, Sequence[float]]) -> None:
        """Take over the means that `state_dict` returned."""
        self._meters[split] = {
            parse_monitor(name): AverageMeter(float(total), int(count)) for name, (total, count) in state.items()
        }

    def _meter(self, split: str, name: MetricName) -> AverageMeter:
        return self._meters.setdefault(split, {}).setdefault(name, AverageMeter())


def require_all(values: Mapping[str, Any], names: Sequence[MetricName], split: str) -> None:
    """Refuse an evaluation that left out a monitor.

    Raises:
        TrainingError: naming the monitors that were never given a value.
    """
    missing = [str(name) for name in names if str(name) not in values]
    if missing:
        raise TrainingError(f"evaluate() gave no value for {', '.join(missing)} on {split}; its pools must name them")
