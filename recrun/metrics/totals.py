"""Compute any metrics over the batches of one evaluation, each as its kind says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from recrun.config.monitor_names import LOSS, MetricName, kind_of
from recrun.errors import ConfigError, RegistryError, TrainingError
from recrun.metrics.kinds import Evaluated, MeanOverUsers, Metric, MetricKind, Predictions, Rankings
from recrun.metrics.per_user import PerUser, mean_of_users
from recrun.metrics.ranking import Doubles
from recrun.metrics.returned import one_number, unchanged
from recrun.metrics.undefined import Undefined
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
        keep_users: whether the values of each user are kept, for `per_user`.

    Raises:
        ConfigError: this evaluation cannot compute a metric.
        RegistryError: a metric or its kind is not known, or cannot be imported.
    """

    def __init__(
        self,
        metrics: Sequence[MetricName],
        evaluation: EvaluationName,
        data: Evaluated,
        *,
        keep_users: bool = False,
    ) -> None:
        self._names = list(dict.fromkeys(metrics))
        by_kind: dict[str, list[Metric]] = {}
        for name in self._names:
            by_kind.setdefault(_fitting_kind(name, evaluation), []).append(find_metric(name))
        self.kinds = [find_kind(kind)(chosen, data) for kind, chosen in by_kind.items()]
        self._users: list[Any] | None = [] if keep_users else None
        for kind in self.kinds:
            if keep_users and isinstance(kind, MeanOverUsers):
                kind.keep_users()

    @property
    def needs(self) -> frozenset[str]:
        """What the kinds want gathered besides rankings and hits: "scores", "wins"."""
        return frozenset().union(*(kind.needs for kind in self.kinds))

    def add_rankings(self, rankings: Rankings) -> None:
        """Hand the rankings of some users to every kind."""
        rankings = Rankings(*map(_read_only, rankings))
        if self._users is not None:
            self._users.append(rankings.users_B)
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

    def per_user(self) -> PerUser | None:
        """Return the values of each ranked user, for every metric whose value is their mean; None if they are not kept.

        A kind of the user's own that derives from `MeanOverUsers` may have changed what its values are.
        """
        if self._users is None:
            return None
        users_U = np.concatenate([np.empty(0, dtype=np.int64), *self._users])
        found: dict[MetricName, Doubles] = {}
        for kind in self.kinds:
            if not isinstance(kind, MeanOverUsers):
                continue
            for position, (metric, value) in enumerate(zip(kind.metrics, kind.values(), strict=True)):
                values_U = kind.of_each_user(position)
                if values_U is None or len(values_U) != len(users_U):
                    continue
                mean = mean_of_users(values_U)
                if mean == value or (mean is None and isinstance(value, Undefined)):
                    found[metric.name] = values_U
        return PerUser(users_U, {str(name): found[name] for name in self._names if name in found})

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
