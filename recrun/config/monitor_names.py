"""Parse the names of monitored metrics, such as ndcg@20."""

from __future__ import annotations

from typing import NamedTuple

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
    """Return the metric that a monitor names; upper and lower case are the same.

    Args:
        text: "loss", a metric without a cutoff ("auc"), or one with a cutoff ("recall@20").

    Raises:
        ConfigError: the metric is unknown, its cutoff is missing, or it has a cutoff but takes none.
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
    if not traits.cutoff:
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
    return metric.name == LOSS or bool(METRICS.describe(metric.name).traits.smaller_is_better)
