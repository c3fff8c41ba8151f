"""Compute metrics of dense predictions and targets (B, N), for a user's own `evaluate`; exported by `recrun.metrics`.

Shapes: B rows (usually users), N predictions per row (usually all items), K ranks.

All of them use the registered metrics and the exact top-k of `recrun.metrics.topk`, in double precision, so a row has
the same value as in `recrun.evaluation.ranking.evaluate_ranking`.

Targets are relevant where they are > 0. A prediction of -inf is not ranked; a large negative number, such as -1e10 for
seen items, ranks last. Rows without relevant items (for `auroc` also those with relevant items only) are undefined:
NaN with reduction "none", left out of "mean" and "sum". The mean over no rows is NaN. Results are on the CPU, because
not every device has double precision; ranking and sorting happen on the device of the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.config.monitor_names import MetricName, kind_of
from recrun.errors import ConfigError, TrainingError
from recrun.metrics.auc import n_wins
from recrun.metrics.kinds import Evaluated, MeanOverUsers, Predictions, Rankings
from recrun.metrics.ranking import area_under_curve
from recrun.metrics.topk import top_k
from recrun.metrics.totals import Totals, find_kind, find_metric
from recrun.registry import METRICS

Reduction = Literal["mean", "sum", "none"]


def recall(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return recall@k: hits among the first k over the number of relevant items.

    Args:
        preds: scores (B, N).
        targets: (B, N), relevant where > 0.
        k: cutoff; None for all N. Ranks beyond N are misses.
        reduction: "mean" or "sum" over the rows with relevant items, or "none" for one value per row.

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
        reduction: "mean" or "sum" over the rows with relevant and other targets, or "none" for one value per row.

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
        reduction: "mean" or "sum" over all B x N elements, or "none" for one value per element.

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
    """Return -(y ln p + (1 - y) ln(1 - p)) of probabilities p, clipped to a machine epsilon away from 0 and 1.

    Arguments and result as for `mean_abs_error`.

    Raises:
        ValueError: a prediction lies outside [0, 1].
    """
    return _reduce(_elements("log_loss", _log_loss, preds, targets, k), reduction)


def dense_metrics(preds: Tensor, targets: Tensor, metrics: Sequence[MetricName]) -> dict[str, Tensor]:
    """Return several metrics of the same predictions for each row, with one top-k for all of them.

    Args:
        preds: (B, N).
        targets: (B, N).
        metrics: means over users or over rows; a row counts as a group of gauc.

    Returns:
        By name, in the order of `metrics`, float64 (B,) on the CPU; NaN where undefined. The metric is the mean over
        the defined rows of all batches.

    Raises:
        ConfigError: a metric is not a mean over rows (rmse, and metrics beyond accuracy).
        TrainingError: a prediction is NaN.
    """
    _check(preds, targets)
    kinds = {metric: _mean_over_users(metric, preds.shape[1]) for metric in metrics if metric.name not in _OF_ROWS}
    k = max((metric.k or 0 for metric in kinds), default=0)
    rankings, is_ranked_B = _rank(preds, targets, k, frozenset().union(*(kind.needs for kind in kinds.values())))
    values: dict[str, Tensor] = {}
    for metric in metrics:
        if metric in kinds:
            values_B = kinds[metric].of_users(find_metric(metric), rankings)
            values[str(metric)] = torch.from_numpy(np.where(is_ranked_B, values_B, np.nan))
        else:
            values[str(metric)] = _OF_ROWS[metric.name](preds, targets)
    return values


def pointwise_metrics(
    preds: NDArray[Any], targets: NDArray[Any], metrics: Sequence[MetricName], groups: NDArray[Any] | None = None
) -> dict[str, float]:
    """Return metrics of single predictions, such as ratings or click probabilities, over all of them.

    Args:
        preds: (N,).
        targets: (N,).
        metrics: those that predictions can compute.
        groups: the group (user) of each prediction, (N,); needed by gauc.

    Raises:
        ConfigError: predictions cannot compute a metric, or it needs groups.
        ValueError: lengths differ, or logloss is asked for and the predictions are not probabilities.
    """
    if len(preds) != len(targets):
        raise ValueError(f"preds and targets must have equal lengths, found {len(preds)} and {len(targets)}")
    totals = Totals(metrics, "predictions", Evaluated())
    for metric in metrics:
        if groups is None and METRICS.describe(metric.name).traits.grouped:
            raise ConfigError(f"{metric} needs the group (user) of each prediction")
    groups = np.zeros(len(preds), dtype=np.int8) if groups is None else groups
    totals.add_predictions(Predictions(preds, targets, groups))
    return totals.values()


def _mean_over_users(metric: MetricName, n_items: int) -> MeanOverUsers:
    kind = find_kind(kind_of(METRICS.describe(metric.name)).name)([find_metric(metric)], Evaluated(n_items))
    if not isinstance(kind, MeanOverUsers):
        raise ConfigError(f"{metric} is not a mean over rows, so it cannot be monitored from dense predictions")
    return kind


def _rank(
    preds: Tensor, targets: Tensor, k: int, needs: frozenset[str] = frozenset()
) -> tuple[Rankings, NDArray[np.bool_]]:
    """Return the rankings to k of all rows, and which rows have relevant items, (B,)."""
    relevant_BN = targets > 0
    n_relevant_B = relevant_BN.sum(dim=1).cpu().numpy()
    k = min(k, preds.shape[1])
    items_BK = top_k(preds, k) if k else torch.empty((len(preds), 0), dtype=torch.int64, device=preds.device)
    hits_BK = relevant_BN.gather(1, items_BK.clamp(min=0)) & (items_BK >= 0)
    scores_BK = torch.empty((len(preds), 0))
    if "scores" in needs:
        scores_BK = (
            preds.detach().gather(1, items_BK.clamp(min=0)).cpu().double().where(items_BK.cpu() >= 0, -torch.inf)
        )
    rankings = Rankings(
        users_B=np.arange(len(preds)),
        items_BK=items_BK.cpu().numpy(),
        hits_BK=hits_BK.cpu().numpy(),
        n_relevant_B=np.maximum(n_relevant_B, 1),
        scores_BK=scores_BK.numpy(),
        wins_B=_wins(preds, relevant_BN) if "wins" in needs else np.empty(0),
        n_findable_B=n_relevant_B,
        n_others_B=preds.shape[1] - n_relevant_B,
    )
    return rankings, n_relevant_B > 0


def _ranked(name: str, preds: Tensor, targets: Tensor, k: int | None, reduction: Reduction) -> Tensor:
    _check(preds, targets)
    k = preds.shape[1] if k is None else k
    if k < 1:
        raise ValueError(f"k must be >= 1, found {k}")
    rankings, is_ranked_B = _rank(preds, targets, k)
    values_B = METRICS.get(name)(rankings.hits_BK, rankings.n_relevant_B, k)
    return _reduce(torch.from_numpy(np.where(is_ranked_B, values_B, np.nan)), reduction)


def _row_auc(preds: Tensor, targets: Tensor) -> Tensor:
    relevant_BN = targets > 0
    n_relevant_B = relevant_BN.sum(dim=1).cpu().numpy()
    auc_B = area_under_curve(_wins(preds, relevant_BN), n_relevant_B, preds.shape[1] - n_relevant_B)
    return torch.from_numpy(auc_B)


def _wins(preds: Tensor, relevant_BN: Tensor) -> NDArray[np.float64]:
    if bool(preds.isnan().any()):
        raise TrainingError("a prediction is NaN: the training has diverged, or the model divides by zero")
    return n_wins(
        preds.detach() if preds.dtype in (torch.float32, torch.float64) else preds.detach().float(), relevant_BN
    )


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


def _row_mean(name: str, error: Callable[[Tensor, Tensor], Tensor], preds: Tensor, targets: Tensor) -> Tensor:
    return _elements(name, error, preds, targets, None).mean(dim=1)


_OF_ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gauc": _row_auc,
    "mae": partial(_row_mean, "mae", _absolute),
    "mse": partial(_row_mean, "mse", _squared),
    "logloss": partial(_row_mean, "logloss", _log_loss),
}
"""Metrics of single predictions that are means over rows of equal length."""


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
