"""Metrics: pure functions of hits, exposures, or predictions, in double precision.

A metric is registered with its kind, which says what it is a function of (K ranks, B users, I items, N predictions):

ranking    `(hits (B, K) bool in rank order, n_relevant (B,) int, k) -> (B,)`, for any k; ranks beyond K are misses.
           K and every n_relevant are at least 1; users without relevant items are left out.
exposure   `(exposure (I,) int, popularity (I,) int, n_users) -> float`: how often each item is among the first k, and
           how many interactions it has in train. For metrics beyond accuracy.
auc        `(wins (B,), n_relevant (B,), n_others (B,)) -> (B,)`, NaN where one of the two is 0.
pointwise  `(preds (N,), targets (N,)) -> float`; with the trait `grouped` also `groups (N,)`.

A ranking or exposure metric is asked for as name@k. A further trait is `smaller_is_better`.

The functions on dense predictions and targets, such as `recall(preds, targets, k=20)`, are imported from
`recrun.metrics.on_tensors` on first use: they need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        pointwise_metrics,
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
    return getattr(importlib.import_module("recrun.metrics.on_tensors"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
