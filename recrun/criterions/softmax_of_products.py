"""Compute the cross entropy of a softmax over products with all items in pieces, without holding all scores.

Shapes: B rows, I items, D length of the vectors, R rows of a piece.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SCORES: Final = 1 << 20
"""The scores of a piece, about as many as fit a processor's cache."""
_SCORES_OF_ACCELERATOR: Final = 1 << 26
_FEWEST_ROWS: Final = 128
"""The fewest rows of a piece: the sums of the items' gradients are read and written once for each."""


def softmax_loss_of_products(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Return the sum over rows of log Σ exp(s·v) - s·v⁺, over the vectors v of all items.

    It is `cross_entropy(states @ items.T, targets, reduction="sum")` to rounding. The gradients are computed along with
    the loss, piece after piece while the scores of a piece are in the processor's cache, so that B x I scores are never
    held; the backward pass multiplies them by a number. It cannot be differentiated twice.

    *Source:* the pieces are those of Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024,
    section 3.2, FusedLinearCrossEntropy.

    Args:
        states: (B, D) floating.
        items: (I, D) of the same type.
        targets: (B,) int64, the positive item of each row.
    """
    loss: Tensor = _SoftmaxLoss.apply(states, items, targets)  # type: ignore[no-untyped-call]
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        states, items = states.contiguous(), items.contiguous()
        scores = _SCORES if states.device.type == "cpu" else _SCORES_OF_ACCELERATOR
        n_rows = min(len(states), max(_FEWEST_ROWS, scores // len(items)))
        buffer_RI = states.new_empty(n_rows, len(items))
        of_states_BD, of_items_ID, total = torch.empty_like(states), torch.zeros_like(items), states.new_zeros(())
        for start in range(0, len(states), n_rows):
            rows = slice(start, start + n_rows)
            states_RD, targets_R = states[rows], targets[rows]
            scores_RI = torch.mm(states_RD, items.T, out=buffer_RI[: len(states_RD)])
            positives_R1 = scores_RI.gather(1, targets_R[:, None])
            largest_R1 = scores_RI.amax(1, keepdim=True)
            sums_R1 = scores_RI.sub_(largest_R1).exp_().sum(1, keepdim=True)
            total += (largest_R1 + sums_R1.log() - positives_R1).sum()
            errors_RI = scores_RI.div_(sums_R1).scatter_add_(1, targets_R[:, None], -torch.ones_like(sums_R1))
            torch.mm(errors_RI, items, out=of_states_BD[rows])
            of_items_ID.addmm_(errors_RI.T, states_RD)
        context.save_for_backward(of_states_BD, of_items_ID)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        of_states_BD, of_items_ID = context.saved_tensors
        return of_states_BD * gradient, of_items_ID * gradient, None
