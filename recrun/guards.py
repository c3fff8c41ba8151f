"""Guards of the numbers: what of a model is not finite any more."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


@torch.no_grad()
def not_finite(model: nn.Module) -> list[str]:
    """Return the names of the parameters, and of the gradients, that hold NaN or an infinity.

    While all is well this waits for the device once, and reads each tensor once.
    """
    named = [(name, tensor) for name, tensor in _trained(model) if tensor.is_floating_point() and tensor.numel()]
    if not named:
        return []
    device = named[0][1].device
    # A sum is finite unless a term is not, or unless it overflows: a look at each tensor then tells which it was.
    sums = [_sum(tensor).to(device, torch.float32) for _, tensor in named]
    if bool(torch.stack(sums).isfinite().all()):
        return []
    return [name for name, tensor in named if not bool(tensor.isfinite().all())]


@torch.no_grad()
def not_numbers(model: nn.Module) -> list[str]:
    """Return the names of the buffers that hold NaN, as those of a model in closed form may."""
    return [name for name, tensor in model.named_buffers() if tensor.is_floating_point() and bool(tensor.isnan().any())]


def _sum(tensor: Tensor) -> Tensor:
    """Return the sum in the tensor's own precision, where that is not too narrow: another one would be slow."""
    return tensor.sum(dtype=torch.float32) if tensor.element_size() < 4 else tensor.sum()


def _trained(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in model.named_parameters():
        yield name, parameter.detach()
        gradient = parameter.grad
        if gradient is not None:
            yield f"the gradient of {name}", gradient._values() if gradient.is_sparse else gradient
