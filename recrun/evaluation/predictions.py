"""Scoring models that predict a label for each row, and rank nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recrun.config.monitor_names import MetricName
from recrun.data.postprocessing.tensor import to_device
from recrun.metrics.pointwise import grouped_auc
from recrun.registry import METRICS


@torch.no_grad()
def predict(
    model: Any, base: Any, split: str, device: torch.device, progress: Callable[[int, int], None] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the probabilities (N,), labels (N,) and users (N,) of a part, in its order; rows are taken in chunks.

    Args:
        model: a `PredictingArch`.
        base: the data set.
        split: the part.
        device: where the model is.
        progress: is told (done, total) rows after each chunk.
    """
    parts: list[tuple[Tensor, ...]] = []
    done, total = 0, len(base.interactions(split))
    for batch in base.tensor_().iterate(split, seed=0, epoch=0):
        rows = to_device(batch, device)
        columns = (torch.sigmoid(model(rows)), rows[model.label], rows[model.user_column])
        parts.append(tuple(column.reshape(-1).cpu() for column in columns))
        done += len(parts[-1][0])
        if progress is not None:
            progress(done, total)
    chances, labels, users = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return chances, labels, users


def measure(
    chances: np.ndarray, labels: np.ndarray, users: np.ndarray, metrics: Sequence[MetricName]
) -> dict[str, float]:
    """Return metrics of predictions: `auc` over all rows, `gauc` over those of each user, errors as they are defined.

    Args:
        chances: (N,).
        labels: (N,).
        users: (N,).
        metrics: of the kinds "auc" and "pointwise".
    """
    values = {}
    for metric in metrics:
        if metric.name == "auc":
            values[str(metric)] = grouped_auc(chances, labels, np.zeros(len(labels), dtype=np.int8))
        elif METRICS.describe(metric.name).traits.grouped:
            values[str(metric)] = METRICS.get(metric.name)(chances, labels, users)
        else:
            values[str(metric)] = METRICS.get(metric.name)(chances, labels)
    return values
