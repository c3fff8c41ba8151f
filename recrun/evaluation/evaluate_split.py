"""Evaluate a model on one split: rank all items for every user, or predict every label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from recrun.config.family import family_of_class
from recrun.config.monitor_names import MetricName
from recrun.data.interactions import Interactions
from recrun.data.postprocessing.mode import check_mode
from recrun.metrics.kinds import Evaluated
from recrun.metrics.totals import Totals


class Evaluation(NamedTuple):
    """The values of the metrics, `Undefined` where they are, and the numbers of users evaluated and skipped."""

    values: dict[str, float]
    n_users: int
    n_skipped: int


def evaluate_split(
    model: Any,
    base: Any,
    split: str,
    metrics: Sequence[MetricName],
    *,
    device: torch.device,
    memory_mb: int,
    progress: Callable[[int, int], None],
) -> Evaluation:
    """Compute metrics of a model on one split.

    Args:
        model: in evaluation mode.
        base: the data set.
        split: "valid" or "test".
        metrics: those to compute.
        device: where the model is.
        memory_mb: memory that ranking may use besides the model, in MB.
        progress: called as `progress(done, total)`, in users or rows, after each block.
    """
    if family_of_class(type(model)).evaluation == "predictions":
        from recrun.evaluation.predictions import measure, predict

        probabilities, labels, users = predict(model, base, split, device, progress=progress)
        return Evaluation(measure(probabilities, labels, users, metrics, base), len(set(users.tolist())), 0)
    from recrun.evaluation.ranking import evaluate_ranking

    mode = check_mode(split)
    result = evaluate_ranking(
        model,
        seen=base.seen(mode),
        relevant=base.csr(mode),
        n_items=base.n_items,
        metrics=metrics,
        device=device,
        memory_mb=memory_mb,
        progress=progress,
        dataset=base,
    )
    return Evaluation(dict(result.values), result.n_users, result.n_skipped)


def undefined_metrics(model: Any, base: Any, split: str, metrics: Sequence[MetricName]) -> dict[str, str]:
    """Return the metrics that are undefined on a split whatever the model predicts, with the reasons.

    Args:
        model: the model; its family and, if it predicts labels, their column are looked at.
        base: the data set.
        split: "valid" or "test".
        metrics: those to compute.
    """
    mode = check_mode(split)

    def find(rows: Interactions) -> dict[str, str]:
        if family_of_class(type(model)).evaluation == "predictions":
            data = Evaluated(dataset=base, targets_N=rows.columns[model.label], users_N=rows.users)
            return Totals(metrics, "predictions", data).undefined()
        data = Evaluated(base.n_items, base.seen(mode), rows.csr(base.n_users), base)
        return Totals(metrics, "ranking", data).undefined()

    found: dict[str, str] = base.reasons(mode, find)
    return found
