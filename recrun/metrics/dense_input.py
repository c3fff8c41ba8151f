"""Check dense predictions and targets (B, N), and read which items are seen, relevant or neither.

Shapes: B rows (usually users), N predictions per row (usually all items).

For rankings, targets are those of the pipe `trisample_`: -1 for seen items, 0 for others, positive for relevant ones.
Seen items are ruled out like those that are predicted -inf, whatever their own predictions are.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from recrun.errors import TrainingError
from recrun.metrics.topk import exact

SEEN: Final = -1
_USUAL_MASKS: Final = (-1e8, -1e9, -1e10, -1e12)
"""Numbers that scripts write over the predictions of seen items; no trained model predicts them."""


def read_ranking(preds: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is ranked.

    Args:
        preds: scores (B, N).
        targets: (B, N): -1 for a seen item, 0 for another, positive for a relevant one.

    Returns:
        Scores (B, N), float32 or float64 and equal to the predictions, -inf for seen items; and which items are
        relevant, bool (B, N).

    Raises:
        ValueError: shapes, devices or types do not fit, a target is none of these, or the predictions have no exact
            order.
    """
    check_pair(preds, targets)
    scores_BN = exact(preds.detach(), "predictions")
    # One pass over the targets, unless some are negative.
    if targets.is_signed() and targets.numel() and float(targets.min()) < 0:
        seen_BN = targets == SEEN
        _refuse_first(
            (targets < 0) & ~seen_BN, targets, "targets must be -1 (seen), 0 (other) or positive (relevant), found"
        )
        scores_BN = scores_BN.masked_fill(seen_BN, -torch.inf)
    return scores_BN, targets > 0


def check_pair(preds: Tensor, targets: Tensor) -> None:
    """Check that predictions and targets are real tensors of one shape and device, and that all targets are finite.

    Raises:
        ValueError: they are not.
    """
    given: tuple[tuple[str, Any], ...] = (("preds", preds), ("targets", targets))
    for name, values in given:
        if not isinstance(values, Tensor):
            kind = type(values)
            raise ValueError(f"{name} must be a torch.Tensor, found {kind.__module__}.{kind.__qualname__}")
        if values.layout != torch.strided:
            raise ValueError(f"{name} must be a dense tensor, found layout {values.layout}; use {name}.to_dense()")
        if values.is_complex():
            raise ValueError(f"{name} must hold real numbers, found {values.dtype}: complex numbers have no order")
    if preds.ndim != 2 or preds.shape != targets.shape or preds.shape[1] == 0:
        raise ValueError(
            "preds and targets must have one shape (B, N) with N >= 1; "
            f"found {tuple(preds.shape)} and {tuple(targets.shape)}"
        )
    if preds.device != targets.device:
        raise ValueError(
            f"preds and targets must be on one device, found {preds.device} and {targets.device}; "
            "use targets.to(preds.device)"
        )
    if targets.is_floating_point() and targets.numel() and not bool(torch.stack(targets.aminmax()).isfinite().all()):
        _refuse_first(~targets.isfinite(), targets, "targets must be finite, found")


def check_values(name: str, preds: Tensor, targets: Tensor) -> None:
    """Check predictions and targets of a metric that compares their values.

    Raises:
        ValueError: they do not fit together, the targets are those of a ranking, whose -1 is no value, or integers lie
            beyond 2^53.
        TrainingError: a prediction is NaN.
    """
    check_pair(preds, targets)
    is_seen = targets == SEEN
    if bool(is_seen.any()) and bool((targets == 0).any()) and bool((is_seen | (targets == 0) | (targets == 1)).all()):
        raise ValueError(
            f"{name} compares predictions with the values of targets, and these look like the marks of a ranking: -1 "
            "for seen items, 0 for others, 1 for relevant ones. Monitor metrics of rankings, or compute "
            f"{name} from the rows with a label (recrun.metrics.pointwise_metrics)"
        )
    refuse_nan(preds)
    exact(preds, "predictions")
    exact(targets, "targets")


def refuse_nan(preds: Tensor) -> None:
    """Check predictions.

    Raises:
        TrainingError: one is NaN.
    """
    if preds.is_floating_point() and bool(preds.isnan().any()):
        raise TrainingError("a prediction is NaN: the training has diverged, or the model divides by zero")


def refuse_usual_masks(preds: Tensor, targets: Tensor) -> None:
    """Check that no item of target 0 has a prediction that usually stands for a seen one.

    A ranking to k has such items last in any case, but an area over all items would count each as ranked below the
    relevant ones.

    Raises:
        ValueError: one has.
    """
    dtype = preds.dtype if preds.is_floating_point() else torch.float64
    masks = torch.tensor([*_USUAL_MASKS, torch.finfo(dtype).min], dtype=dtype, device=preds.device)
    masks = masks[masks.isfinite()]
    if not preds.numel() or bool(preds.min() > masks.max()):
        return
    is_mask_BN = torch.isin(preds.to(dtype), masks) & (targets == 0)
    if bool(is_mask_BN.any()):
        raise ValueError(
            f"auc is over unseen items, and {int(is_mask_BN.sum())} predictions of targets 0 are "
            f"{float(preds[is_mask_BN][0]):g}, as if to mask seen items: keep the target -1 of seen items (do not set "
            "it to 0), or predict -inf for them"
        )


def _refuse_first(is_bad_BN: Tensor, values_BN: Tensor, message: str) -> None:
    if bool(is_bad_BN.any()):
        row, column = is_bad_BN.nonzero()[0].tolist()
        raise ValueError(f"{message} {values_BN[row, column].item():g} in row {row}, column {column}")
