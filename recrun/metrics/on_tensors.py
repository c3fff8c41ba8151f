"""Compute metrics of dense predictions and targets (B, N), for a user's own `evaluate`; exported by `recrun.metrics`.

Shapes: B rows (usually users), N predictions per row (usually all items), K ranks.

All of them use the registered metrics and the exact top-k of `recrun.metrics.topk`, in double precision, so a row has
the same value as in `recrun.evaluation.ranking.evaluate_ranking`.

Targets are those of the pipe `trisample_`: -1 for seen items, which are left out, 0 for others, positive for relevant
ones. A prediction of -inf leaves an item out as well; a large negative number, such as -1e10, ranks it last. Rows
without relevant items (for `auroc` also those without other unseen items) are undefined: NaN with reduction "none",
left out of "mean" and "sum". The mean over no rows is NaN. Results are on the CPU, because not every device has double
precision; ranking and sorting happen on the device of the predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.config.monitor_names import MetricName, kind_of, metric_names
from recrun.errors import ConfigError
from recrun.metrics.auc import wins_and_others
from recrun.metrics.dense_input import check_pair, check_values, read_ranking, refuse_nan, refuse_usual_masks
from recrun.metrics.kinds import NOTHING_TO_FIND, AreaUnderCurve, Evaluated, MeanOverUsers, Rankings
from recrun.metrics.ranking import area_under_curve
from recrun.metrics.returned import one_each
from recrun.metrics.topk import cutoff, top_k
from recrun.metrics.totals import find_kind, find_metric
from recrun.registry import METRICS

Reduction = Literal["mean", "sum", "none"]


def recall(preds: Tensor, targets: Tensor, *, k: int | None = None, reduction: Reduction = "mean") -> Tensor:
    """Return recall@k: hits among the first k over the number of relevant items.

    Args:
        preds: scores (B, N), of any real type; they are compared exactly.
        targets: (B, N): -1 for seen items, which are left out, 0 for others, positive for relevant ones.
        k: cutoff; None for all N. Ranks beyond N are misses.
        reduction: "mean" or "sum" over the rows with relevant items, or "none" for one value per row.

    Returns:
        float64: a scalar, or (B,) with "none".

    Raises:
        ValueError: preds and targets are no real tensors of one shape and device, a target is NaN, infinite or below 0
            but not -1, integers lie beyond 2^53, k is no integer >= 1, or the reduction is unknown.
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
    """Return each row's area under the ROC curve over its unseen items, ties counting half.

    Args:
        preds: scores (B, N).
        targets: (B, N): -1 for seen items, 0 for others, positive for relevant ones.
        k: must be None: the area has no cutoff.
        reduction: "mean" or "sum" over the rows with relevant and other items, or "none" for one value per row.

    Returns:
        float64: a scalar, or (B,) with "none".

    Raises:
        ValueError: as for `recall`; or predictions of targets 0 are a number that usually masks seen items, such as
            -1e10, which the area would count as ranked last.
        TrainingError: a prediction is NaN.
    """
    _refuse_cutoff("auroc", k)
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

    Raises:
        ValueError: preds and targets are no real tensors of one shape and device, a target is NaN or infinite, or the
            targets are marks of a ranking (-1, 0 and 1), whose -1 is no value.
        TrainingError: a prediction is NaN.
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
        ValueError: a prediction or target lies outside [0, 1].
    """
    return _reduce(_elements("log_loss", _log_loss, preds, targets, k), reduction)


def dense_metrics(preds: Tensor, targets: Tensor, metrics: Sequence[MetricName | str]) -> dict[str, Tensor]:
    """Return several metrics of the same predictions for each row, with one top-k for all of them.

    Args:
        preds: (B, N).
        targets: (B, N), for rankings -1 for seen items.
        metrics: means over users or over rows, such as "recall@20"; a row counts as a group of gauc.

    Returns:
        By name, in the order of `metrics`, float64 (B,) on the CPU; NaN where undefined. The metric is the mean over
        the defined rows of all batches.

    Raises:
        ConfigError: a metric is not a mean over rows (rmse, and metrics beyond accuracy).
        ValueError: as for the functions of the single metrics.
        TrainingError: a prediction is NaN.
    """
    check_pair(preds, targets)
    names = metric_names(metrics)
    kinds = {name: _mean_over_users(name, preds.shape[1]) for name in names if name.name not in _OF_ROWS}
    k = max((metric.k or 0 for metric in kinds), default=0)
    needs: frozenset[str] = frozenset().union(*(kind.needs for kind in kinds.values()))
    ranked = _rank(preds, targets, k, needs) if kinds else None
    values: dict[str, Tensor] = {}
    for metric in names:
        if metric in kinds and ranked is not None:
            rankings, is_ranked_B = ranked
            values_B = kinds[metric].of_users(find_metric(metric), rankings)
            values_B = one_each(metric, values_B, len(preds), "row")
            values[str(metric)] = torch.from_numpy(np.where(is_ranked_B, values_B, np.nan))
        else:
            values[str(metric)] = _OF_ROWS[metric.name](preds, targets)
    return values


def nobody(name: MetricName) -> str:
    """Return why a metric of dense predictions is undefined if it is undefined for every row."""
    return AreaUnderCurve.nobody if name.name in ("auc", "gauc") else NOTHING_TO_FIND


def _mean_over_users(metric: MetricName, n_items: int) -> MeanOverUsers:
    kind = find_kind(kind_of(METRICS.describe(metric.name)).name)([find_metric(metric)], Evaluated(n_items))
    if not isinstance(kind, MeanOverUsers):
        raise ConfigError(f"{metric} is not a mean over rows, so it cannot be monitored from dense predictions")
    return kind


def _rank(
    preds: Tensor, targets: Tensor, k: int, needs: frozenset[str] = frozenset()
) -> tuple[Rankings, NDArray[np.bool_]]:
    """Return the rankings to k of all rows, and which rows have relevant items, (B,)."""
    scores_BN, relevant_BN = read_ranking(preds, targets)
    n_relevant_B = relevant_BN.sum(dim=1).cpu().numpy()
    k = min(k, preds.shape[1])
    items_BK = top_k(scores_BN, k) if k else torch.empty((len(preds), 0), dtype=torch.int64, device=preds.device)
    hits_BK = relevant_BN.gather(1, items_BK.clamp(min=0)) & (items_BK >= 0)
    scores_BK = torch.empty((len(preds), 0))
    if "scores" in needs:
        scores_BK = scores_BN.gather(1, items_BK.clamp(min=0)).cpu().double().where(items_BK.cpu() >= 0, -torch.inf)
    wins_B, n_others_B = np.empty(0), np.empty(0, dtype=np.int64)
    if "wins" in needs:
        refuse_usual_masks(preds, targets)
        wins_B, n_others_B = _wins(scores_BN, relevant_BN)
    rankings = Rankings(
        users_B=np.arange(len(preds)),
        items_BK=items_BK.cpu().numpy(),
        hits_BK=hits_BK.cpu().numpy(),
        n_relevant_B=np.maximum(n_relevant_B, 1),
        scores_BK=scores_BK.numpy(),
        wins_B=wins_B,
        n_findable_B=n_relevant_B,
        n_others_B=n_others_B,
    )
    return rankings, n_relevant_B > 0


def _ranked(name: str, preds: Tensor, targets: Tensor, k: int | None, reduction: Reduction) -> Tensor:
    check_pair(preds, targets)
    k = preds.shape[1] if k is None else cutoff(k)
    rankings, is_ranked_B = _rank(preds, targets, k)
    values_B = METRICS.get(name)(rankings.hits_BK, rankings.n_relevant_B, k)
    return _reduce(torch.from_numpy(np.where(is_ranked_B, values_B, np.nan)), reduction)


def _row_auc(preds: Tensor, targets: Tensor) -> Tensor:
    scores_BN, relevant_BN = read_ranking(preds, targets)
    refuse_usual_masks(preds, targets)
    wins_B, n_others_B = _wins(scores_BN, relevant_BN)
    return torch.from_numpy(area_under_curve(wins_B, relevant_BN.sum(dim=1).cpu().numpy(), n_others_B))


def _wins(scores_BN: Tensor, relevant_BN: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    refuse_nan(scores_BN)
    return wins_and_others(scores_BN, relevant_BN)


def _absolute(preds: Tensor, targets: Tensor) -> Tensor:
    return (preds.double() - targets.double()).abs()


def _squared(preds: Tensor, targets: Tensor) -> Tensor:
    return (preds.double() - targets.double()) ** 2


def _log_loss(preds: Tensor, targets: Tensor) -> Tensor:
    if preds.numel() and not bool(((preds >= 0) & (preds <= 1)).all()):
        raise ValueError("log_loss takes probabilities: every prediction must lie in [0, 1]; apply a sigmoid to logits")
    if targets.numel() and not bool(((targets >= 0) & (targets <= 1)).all()):
        raise ValueError("log_loss takes targets in [0, 1], such as labels 0 and 1; -1, for seen items, is none")
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
    check_values(name, preds, targets)
    return error(preds.detach().cpu(), targets.detach().cpu())


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
