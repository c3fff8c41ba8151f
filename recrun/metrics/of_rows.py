"""Compute metrics of single predictions from arrays: ratings and click probabilities.

Shapes: N predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recrun.config.monitor_names import MetricName, metric_names
from recrun.errors import ConfigError
from recrun.metrics.kinds import Evaluated, Predictions
from recrun.metrics.pointwise import check_rows
from recrun.metrics.totals import Totals
from recrun.registry import METRICS


def pointwise_metrics(
    preds: NDArray[Any],
    targets: NDArray[Any],
    metrics: Sequence[MetricName | str],
    groups: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Return metrics of single predictions, such as ratings or click probabilities, over all of them.

    One that is undefined is `recrun.metrics.undefined.Undefined`: NaN with a reason.

    Args:
        preds: (N,).
        targets: (N,).
        metrics: those that predictions can compute, such as "auc".
        groups: the group (user) of each prediction, (N,); needed by gauc.

    Raises:
        ConfigError: predictions cannot compute a metric, or it needs groups.
        ValueError: lengths differ, these are no real numbers, a target is NaN or infinite, or logloss is asked for and
            the predictions are not probabilities or the targets not in [0, 1].
        TrainingError: a prediction is NaN.
    """
    preds, targets = check_rows(preds, targets)
    metrics = metric_names(metrics)
    totals = Totals(metrics, "predictions", Evaluated(targets_N=targets))
    for metric in metrics:
        if groups is None and METRICS.describe(metric.name).traits.grouped:
            raise ConfigError(f"{metric} needs the group (user) of each prediction")
    groups = np.zeros(len(preds), dtype=np.int8) if groups is None else np.asarray(groups)
    if len(groups) != len(preds):
        raise ValueError(f"groups must have one value per prediction, found {len(groups)} for {len(preds)}")
    totals.add_predictions(Predictions(preds, targets, groups))
    return totals.values()
