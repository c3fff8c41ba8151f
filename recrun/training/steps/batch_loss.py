"""Compute the loss of a batch in the precision of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from recrun.criterions.base import checked_loss


def batch_loss(model: Any, batch: Any, criterion: Any, cfg: Mapping[str, Any], device: torch.device) -> Tensor:
    """Return the loss of a batch, a scalar that depends on the model.

    Args:
        model: what is trained.
        batch: what its pipe yields, on the device.
        criterion: the loss.
        cfg: the settings of the run, of which `precision` is looked at.
        device: where the model is.

    Raises:
        TrainingError: the model or the loss returned something else.
    """
    with torch.autocast(device.type, torch.bfloat16, enabled=cfg.get("precision", "float32") == "bf16"):
        return checked_loss(model.training_loss(batch, criterion), model, criterion)
