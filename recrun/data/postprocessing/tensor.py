"""Implement `tensor_`: turn numpy arrays into torch tensors; and move batches to a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from recrun.data.postprocessing.base import PostProcessor
from recrun.data.postprocessing.chunks import Batch
from recrun.data.postprocessing.mode import Mode


class ToTensor(PostProcessor):
    """Turns arrays into tensors without copying: same shape, same dtype, on the CPU."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        import torch

        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            yield {name: torch.as_tensor(column) for name, column in batch.items()}


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a batch (dicts, tuples and lists of tensors) to a device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):  # a named one
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
