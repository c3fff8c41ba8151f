"""Compute metrics of rankings and predictions, in double precision.

A metric is a pure function, registered with the name of its kind, which says what it is a function of:
`recrun.metrics.kinds`. Further traits are `grouped` and `smaller_is_better`.

The functions on dense predictions and targets, such as `recall(preds, targets, k=20)`, are imported from
`recrun.metrics.on_tensors` on first use, because they need torch; so is `pointwise_metrics`, from
`recrun.metrics.of_rows`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recrun.metrics.of_rows import pointwise_metrics
    from recrun.metrics.on_tensors import (
        auroc,
        dense_metrics,
        f1_score,
        hit_rate,
        log_loss,
        mean_abs_error,
        mean_average_precision,
        mean_reciprocal_rank,
        mean_squared_error,
        normalized_dcg,
        precision,
        recall,
        root_mse,
    )

__all__ = [
    "auroc",
    "dense_metrics",
    "f1_score",
    "hit_rate",
    "log_loss",
    "mean_abs_error",
    "mean_average_precision",
    "mean_reciprocal_rank",
    "mean_squared_error",
    "normalized_dcg",
    "pointwise_metrics",
    "precision",
    "recall",
    "root_mse",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "of_rows" if name == "pointwise_metrics" else "on_tensors"
    return getattr(importlib.import_module(f"recrun.metrics.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
