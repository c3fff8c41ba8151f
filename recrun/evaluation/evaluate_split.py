"""Evaluate a model on one split: rank all items for every user, or predict every label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from recrun.config.family import family_of_class
from recrun.config.monitor_names import MetricName
from recrun.data.postprocessing.mode import check_mode


class Evaluation(NamedTuple):
    """The values of the metrics, the number of users evaluated, and the number without relevant items."""

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
