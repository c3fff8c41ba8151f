"""Compute any metrics over the batches of one evaluation, each as its kind says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from recrun.config.monitor_names import LOSS, MetricName, kind_of
from recrun.errors import ConfigError, RegistryError, TrainingError
from recrun.metrics.kinds import Evaluated, Metric, MetricKind, Predictions, Rankings
from recrun.metrics.returned import one_number, unchanged
from recrun.registry import METRIC_KINDS, METRICS

EvaluationName = Literal["ranking", "predictions"]

_UNFIT = {
    "ranking": "is not a metric of rankings: it needs predictions of given pairs",
    "predictions": "is a metric of rankings, not of single predictions",
}


class Totals:
    """What the metrics of one evaluation gather, and their values at the end.

    Args:
        metrics: what to compute; one that is repeated is computed once.
        evaluation: "ranking" or "predictions".
        data: what is evaluated.

    Raises:
        ConfigError: this evaluation cannot compute a metric.
        RegistryError: a metric or its kind is not known, or cannot be imported.
    """

    def __init__(self, metrics: Sequence[MetricName], evaluation: EvaluationName, data: Evaluated) -> None:
        self._names = list(dict.fromkeys(metrics))
        by_kind: dict[str, list[Metric]] = {}
        for name in self._names:
            by_kind.setdefault(_fitting_kind(name, evaluation), []).append(find_metric(name))
        self.kinds = [find_kind(kind)(chosen, data) for kind, chosen in by_kind.items()]

    @property
    def needs(self) -> frozenset[str]:
        """What the kinds want gathered besides rankings and hits: "scores", "wins"."""
        return frozenset().union(*(kind.needs for kind in self.kinds))

    def add_rankings(self, rankings: Rankings) -> None:
        """Hand the rankings of some users to every kind."""
        rankings = Rankings(*map(_read_only, rankings))
        for kind in self.kinds:
            kind.add_rankings(rankings)

    def add_predictions(self, predictions: Predictions) -> None:
        """Hand the predictions of all rows to every kind.

        Raises:
            TrainingError: a prediction is NaN.
        """
        preds_N = np.asarray(predictions.preds_N)
        if preds_N.dtype.kind == "f" and np.isnan(preds_N).any():
            row = int(np.flatnonzero(np.isnan(preds_N))[0])
            raise TrainingError(
                f"the prediction of row {row} is NaN: the training has diverged, or the model divides by zero"
            )
        predictions = Predictions(*map(_read_only, predictions))
        for kind in self.kinds:
            kind.add_predictions(predictions)

    def values(self) -> dict[str, float]:
        """Return the metrics by name, in the order in which they were asked for; one that is undefined as `Undefined`.

        Raises:
            RegistryError: a kind returned something else than one number per metric.
        """
        found: dict[MetricName, float] = {}
        for kind in self.kinds:
            values = kind.values()
            if len(values) != len(kind.metrics):
                message = (
                    f"values() must return {len(kind.metrics)} numbers, one per metric, and returned {len(values)}"
                )
                raise RegistryError(f"{type(kind).__name__}: {message}")
            found |= {
                metric.name: one_number(metric.name, value) for metric, value in zip(kind.metrics, values, strict=True)
            }
        return {str(name): found[name] for name in self._names}

    def undefined(self) -> dict[str, str]:
        """Return the metrics that are undefined whatever is predicted, with the reason, as the data alone shows."""
        known = {metric.name: kind.undefined(metric) for kind in self.kinds for metric in kind.metrics}
        found = {str(name): known[name] for name in self._names}
        return {name: reason for name, reason in found.items() if reason is not None}


def _read_only(values: Any) -> Any:
    """Return a view of an array that kinds cannot write to, since all of them look at it."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def find_metric(name: MetricName) -> Metric:
    """Import a metric."""
    return Metric(name, unchanged(name, METRICS.get(name.name)), METRICS.describe(name.name).traits)


def find_kind(name: str) -> Callable[[Sequence[Metric], Evaluated], MetricKind]:
    """Import a kind.

    Raises:
        RegistryError: it cannot be imported, or is no class derived from `MetricKind`.
    """
    kind: Any = METRIC_KINDS.get(name)
    if not (isinstance(kind, type) and issubclass(kind, MetricKind)):
        raise RegistryError(f"metric kind {name!r} must be a class derived from recrun.metrics.kinds.MetricKind")
    return kind


def _fitting_kind(metric: MetricName, evaluation: EvaluationName) -> str:
    if metric.name != LOSS:
        kind = kind_of(METRICS.describe(metric.name))
        if evaluation in kind.traits.evaluations:
            return kind.name
    raise ConfigError(f"{metric} {_UNFIT[evaluation]}")
