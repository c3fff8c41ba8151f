"""Metrics of dense predictions and targets (B, N), as a user's own `evaluate` calls them; exported by `recrun.metrics`.

Shapes: B rows (usually users), N predictions a row (usually all items), K places.

All of them use the kernels of `recrun.metrics` and the exact top-k of `recrun.metrics.topk`, in double precision, and
agree with `recrun.evaluation.ranking.evaluate_ranking` to the last digit of the kernels.

Targets are relevant where they are > 0. A prediction of -inf takes no place in a ranking; a large negative number, such
as -1e10 for seen items, ranks last. Rows without relevant items (for `auroc` also those without others) are undefined:
NaN with reduction "none", left out of "mean" and "sum". The mean of nothing is NaN. Results are on the CPU (not every
device has double precision); rankings and sorting happen where the predictions are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.errors import ConfigError, TrainingError
from recrun.metrics.auc import n_wins
from recrun.metrics.topk import top_k
from recrun.registry import METRICS

if TYPE_CHECKING:
    from recrun.config.monitor_names import MetricName

Reduction = Literal["mean", "sum", "none"]


def recall(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return recall@k: hits among the first k over the number of relevant items.

    Args:
        preds: scores (B, N).
        targets: (B, N), relevant where > 0.
        k: places; None for all N. Beyond N, the places that do not exist are misses.
        reduction: "mean" or "sum" over the rows with relevant items, or "none" for one value a row.

    Returns:
        float64: a scalar, or (B,) with "none".

    Raises:
        ValueError: shapes differ, k < 1, or the reduction is unknown.
        TrainingError: a prediction is NaN.

    >>> recall(torch.tensor([[0.9, 0.2, 0.5]]), torch.tensor([[0, 1, 1]]), k=2)
    tensor(0.5000, dtype=torch.float64)
    """
    return _ranked("recall", preds, targets, k, reduction)


def precision(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return precision@k: hits among the first k over k. Arguments, result and errors as for `recall`."""
    return _ranked("precision", preds, targets, k, reduction)


def f1_score(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return the harmonic mean of precision@k and recall@k. Arguments, result and errors as for `recall`."""
    return _ranked("f1", preds, targets, k, reduction)


def hit_rate(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return 1 for a hit among the first k, else 0. Arguments, result and errors as for `recall`."""
    return _ranked("hitrate", preds, targets, k, reduction)


def normalized_dcg(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return ndcg@k with binary gain. Arguments, result and errors as for `recall`."""
    return _ranked("ndcg", preds, targets, k, reduction)


def mean_reciprocal_rank(
    preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return 1 / rank of the first hit within k, else 0. Arguments, result and errors as for `recall`."""
    return _ranked("mrr", preds, targets, k, reduction)


def mean_average_precision(
    preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return map@k, divided by min(number of relevant, k). Arguments, result and errors as for `recall`."""
    return _ranked("map", preds, targets, k, reduction)


def auroc(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return each row's area under the ROC curve over all N predictions, ties counting half.

    Args:
        preds: scores (B, N).
        targets: (B, N), relevant where > 0.
        k: must be None: the area has no cutoff.
        reduction: "mean" or "sum" over the rows with both kinds of targets, or "none" for one value a row.

    Returns:
        float64: a scalar, or (B,) with "none".
    """
    _refuse_cutoff("auroc", k)
    _check(preds, targets)
    return _reduce(_row_auc(preds, targets), reduction)


def mean_abs_error(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return the absolute error.

    Args:
        preds: (B, N).
        targets: (B, N).
        k: must be None: errors have no cutoff.
        reduction: "mean" or "sum" over all B x N elements, or "none" for each element's own.

    Returns:
        float64: a scalar, or (B, N) with "none".
    """
    return _reduce(_elements("mean_abs_error", _absolute, preds, targets, k), reduction)


def mean_squared_error(
    preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Return the squared error. Arguments and result as for `mean_abs_error`."""
    return _reduce(_elements("mean_squared_error", _squared, preds, targets, k), reduction)


def root_mse(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return the square root of the mean (or summed, or each) squared error. Arguments as for `mean_abs_error`."""
    return _reduce(_elements("root_mse", _squared, preds, targets, k), reduction).sqrt()


def log_loss(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return -(y ln p + (1 - y) ln(1 - p)) of probabilities p, kept a machine epsilon away from 0 and 1.

    Arguments and result as for `mean_abs_error`.

    Raises:
        ValueError: a prediction lies outside [0, 1].
    """
    return _reduce(_elements("log_loss", _log_loss, preds, targets, k), reduction)


def dense_metrics(preds: Tensor, targets: Tensor, metrics: Sequence[MetricName]) -> dict[str, Tensor]:
    """Return several metrics of the same predictions, row by row, with one top-k for all of them.

    Args:
        preds: (B, N).
        targets: (B, N).
        metrics: of the kinds ranking, auc and pointwise; a row counts as a group of gauc.

    Returns:
        By name, in the order asked for, float64 (B,) on the CPU: NaN where undefined. The mean
        over the defined rows of all batches is the metric.

    Raises:
        ConfigError: a metric is no mean over rows (rmse, and metrics beyond accuracy).
        TrainingError: a prediction is NaN.
    """
    _check(preds, targets)
    kinds = {metric: METRICS.describe(metric.name).traits.kind for metric in metrics}
    cutoffs = [metric.k for metric in metrics if kinds[metric] == "ranking" and metric.k is not None]
    hits_BK, n_relevant_B = _hits(preds, targets, max(cutoffs)) if cutoffs else (None, None)
    values: dict[str, Tensor] = {}
    for metric, kind in kinds.items():
        if kind == "ranking":
            values[str(metric)] = _apply(metric.name, hits_BK, n_relevant_B, metric.k)
        elif kind == "auc" or metric.name == "gauc":
            values[str(metric)] = _row_auc(preds, targets)
        elif metric.name in _ROW_MEANS:
            values[str(metric)] = _elements(metric.name, _ROW_MEANS[metric.name], preds, targets, None).mean(dim=1)
        else:
            raise ConfigError(f"{metric} is no mean over rows, so it cannot be monitored from dense predictions")
    return values


def pointwise_metrics(
    preds: NDArray[Any], targets: NDArray[Any], metrics: Sequence[MetricName], groups: NDArray[Any] | None = None
) -> dict[str, float]:
    """Return metrics of predictions one by one, such as ratings or click probabilities, over all of them at once.

    Args:
        preds: (N,).
        targets: (N,).
        metrics: of the kind pointwise.
        groups: the group (user) of each prediction, (N,); needed by gauc.

    Raises:
        ConfigError: a metric is of another kind, or needs groups.
        ValueError: lengths differ, or logloss is asked of something else than probabilities.
    """
    if len(preds) != len(targets):
        raise ValueError(f"preds and targets must have equal lengths, found {len(preds)} and {len(targets)}")
    values: dict[str, float] = {}
    for metric in metrics:
        traits = METRICS.describe(metric.name).traits
        if traits.kind != "pointwise":
            raise ConfigError(f"{metric} is a metric of rankings, not of single predictions")
        if traits.grouped and groups is None:
            raise ConfigError(f"{metric} needs the group (user) of each prediction")
        columns = (preds, targets, groups) if traits.grouped else (preds, targets)
        values[str(metric)] = float(METRICS.get(metric.name)(*columns))
    return values


def _ranked(name: str, preds: Tensor, targets: Tensor, k: int | None, reduction: Reduction) -> Tensor:
    _check(preds, targets)
    k = preds.shape[1] if k is None else k
    if k < 1:
        raise ValueError(f"k must be >= 1, found {k}")
    return _reduce(_apply(name, *_hits(preds, targets, k), k), reduction)


def _hits(preds: Tensor, targets: Tensor, k: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    relevant_BN = targets > 0
    items_BK = top_k(preds, min(k, preds.shape[1]))
    hits_BK = relevant_BN.gather(1, items_BK.clamp(min=0)) & (items_BK >= 0)
    return hits_BK.cpu().numpy(), relevant_BN.sum(dim=1).cpu().numpy()


def _apply(name: str, hits_BK: Any, n_relevant_B: Any, k: int | None) -> Tensor:
    values_B = METRICS.get(name)(hits_BK, np.maximum(n_relevant_B, 1), k)
    return torch.from_numpy(np.where(n_relevant_B > 0, values_B, np.nan))


def _row_auc(preds: Tensor, targets: Tensor) -> Tensor:
    if bool(preds.isnan().any()):
        raise TrainingError("a prediction is NaN: the training has diverged, or the model divides by zero")
    preds = preds.detach() if preds.dtype in (torch.float32, torch.float64) else preds.detach().float()
    relevant_BN = targets > 0
    n_relevant_B = relevant_BN.sum(dim=1).cpu().numpy()
    auc_B = METRICS.get("auc")(n_wins(preds, relevant_BN), n_relevant_B, preds.shape[1] - n_relevant_B)
    return torch.from_numpy(auc_B)


def _absolute(preds: Tensor, targets: Tensor) -> Tensor:
    return (preds.double() - targets.double()).abs()


def _squared(preds: Tensor, targets: Tensor) -> Tensor:
    return (preds.double() - targets.double()) ** 2


def _log_loss(preds: Tensor, targets: Tensor) -> Tensor:
    if preds.numel() and not bool(((preds >= 0) & (preds <= 1)).all()):
        raise ValueError("log_loss takes probabilities: every prediction must lie in [0, 1]; apply a sigmoid to logits")
    epsilon = torch.finfo(preds.dtype if preds.is_floating_point() else torch.float64).eps
    p, y = preds.double().clamp(epsilon, 1 - epsilon), targets.double()
    return -(y * p.log() + (1 - y) * (-p).log1p())


_ROW_MEANS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mae": _absolute, "mse": _squared, "logloss": _log_loss}


def _elements(name: str, error: Callable[[Tensor, Tensor], Tensor], preds: Tensor, targets: Tensor, k: Any) -> Tensor:
    _refuse_cutoff(name, k)
    _check(preds, targets)
    return error(preds.detach().cpu(), targets.cpu())


def _reduce(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return values
    if reduction == "mean":
        return values.nanmean()
    if reduction == "sum":
        return values.nansum()
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', found {reduction!r}")


def _refuse_cutoff(name: str, k: int | None) -> None:
    if k is not None:
        raise ValueError(f"{name} has no cutoff; found k={k}")


def _check(preds: Tensor, targets: Tensor) -> None:
    if preds.ndim != 2 or preds.shape != targets.shape or preds.shape[1] == 0:
        raise ValueError(
            "preds and targets must have one shape (B, N) with N >= 1; "
            f"found {tuple(preds.shape)} and {tuple(targets.shape)}"
        )
