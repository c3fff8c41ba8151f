"""Average and clip the gradients of one optimizer step, in place; dense or sparse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor


def average_gradients(parameters: Iterable[Tensor], n_batches: int) -> None:
    """Divide the summed gradients of some batches by their number.

    Args:
        parameters: those without a gradient are left out.
        n_batches: how many batches the gradients are the sum of.
    """
    for gradient in _gradients(parameters):
        gradient.div_(n_batches)


def gradient_norm(parameters: Sequence[Tensor]) -> Tensor:
    """Return the norm of the gradients of parameters as one vector, a scalar; at least one has a gradient."""
    norms = [torch.linalg.vector_norm(each) for each in _gradients(parameters)]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def clip_gradients(
    parameters: Iterable[Tensor], clip_norm: float, norm: Callable[[Sequence[Tensor]], Tensor] = gradient_norm
) -> None:
    """Scale all gradients down by one factor, if their norm as one vector is larger than `clip_norm`.

    g ← g · clip_norm / max(‖g‖₂, clip_norm). Nothing waits for the device. NaN in a gradient makes all of them NaN.

    *Source:* Pascanu, Mikolov and Bengio, ICML 2013, algorithm 1.

    Args:
        parameters: those without a gradient are left out.
        clip_norm: the largest norm, above 0.
        norm: returns the norm of the gradients; another one where some are in other processes.
    """
    parameters = list(parameters)
    gradients = list(_gradients(parameters))
    if not gradients:
        return
    scale = clip_norm / norm(parameters).clamp(min=clip_norm)
    for gradient in gradients:
        gradient.mul_(scale)


def _gradients(parameters: Iterable[Tensor]) -> Iterable[Tensor]:
    """Yield the numbers of every gradient; of a sparse one the sums for the rows that occur, each once."""
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            parameter.grad = gradient = gradient.coalesce()
            yield gradient.values()
        else:
            yield gradient
