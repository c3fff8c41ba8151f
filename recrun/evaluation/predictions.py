"""Evaluate models that predict a label for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from recrun.config.monitor_names import MetricName
from recrun.data.postprocessing.tensor import to_device
from recrun.evaluation.sharing import Sharing, collected
from recrun.metrics.kinds import Evaluated, Predictions
from recrun.metrics.totals import Totals


@torch.no_grad()
def predict(
    model: Any,
    base: Any,
    split: str,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    sharing: Sharing | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the probabilities (N,), labels (N,) and users (N,) of a part, in the order of its rows; predict by chunks.

    Args:
        model: a `PredictingArch`.
        base: the data set.
        split: the part.
        device: where the model is.
        progress: called as `progress(done, total)`, in rows, after each chunk.
        sharing: the processes that each predict some of the chunks; only the one that leads returns any rows.
    """
    parts: list[tuple[int, Sequence[np.ndarray]]] = []
    done, total = 0, len(base.interactions(split))
    for number, batch in enumerate(base.tensor_().iterate(split, seed=0, epoch=0)):
        done += len(batch[model.label])
        if sharing is not None and number % sharing.n != sharing.rank:
            continue
        rows = to_device(batch, device)
        columns = (torch.sigmoid(model(rows)), rows[model.label], rows[model.user_column])
        parts.append((number, [column.reshape(-1).cpu().numpy() for column in columns]))
        if progress is not None:
            progress(done, total)
    if sharing is not None:
        flat = [array for number, columns_N in parts for array in (np.array([number]), *columns_N)]
        everyone = collected(flat, sharing)
        parts = [
            (int(arrays[place][0]), arrays[place + 1 : place + 4])
            for arrays in everyone
            for place in range(0, len(arrays), 4)
        ]
        if not sharing.leads:
            return np.empty(0), np.empty(0), np.empty(0, dtype=np.int64)
    in_order = [columns_N for _, columns_N in sorted(parts, key=lambda part: part[0])]
    probabilities, labels, users = (np.concatenate(column) for column in zip(*in_order, strict=True))
    return probabilities, labels, users


def measure(
    probabilities: np.ndarray,
    labels: np.ndarray,
    users: np.ndarray,
    metrics: Sequence[MetricName],
    dataset: Any = None,
) -> dict[str, float]:
    """Return metrics of predictions: `auc` over all rows, `gauc` over those of each user, errors as they are defined.

    Args:
        probabilities: (N,).
        labels: (N,).
        users: (N,).
        metrics: those that predictions can compute.
        dataset: the data set, for kinds of metrics that look at more than these arrays.

    Raises:
        ConfigError: a metric cannot be computed from predictions.
        RegistryError: a metric or its kind is not known, or cannot be imported.
        TrainingError: a probability is NaN.
    """
    totals = Totals(metrics, "predictions", Evaluated(dataset=dataset, targets_N=labels, users_N=users))
    totals.add_predictions(Predictions(probabilities, labels, users))
    return totals.values()
