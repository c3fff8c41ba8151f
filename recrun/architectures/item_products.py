"""Score rows against items by matrix products: the few distinct items of a batch, or all items in pieces.

Scoring each (user, item) pair of a batch gathers one embedding per pair. If the batch has few distinct items (in-batch
negatives repeat them), a single matrix product of its users with these items is many times faster
(`benchmarks/negatives.py`). Of a softmax over all items, only sums are needed, and the scores need not be held.

Shapes: B rows of a batch, K negatives, R distinct items of the batch or rows of a piece, I items, D length of vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_FEWEST: Final = 32
"""The fewest items per row for which looking for repeated items pays."""
_MOST_DISTINCT: Final = 32
"""The most distinct items, as a multiple of the items per row, for which the matrix product is clearly faster."""
_SCORES: Final = 1 << 20
"""The scores of a piece, about as many as fit a processor's cache."""
_SCORES_OF_ACCELERATOR: Final = 1 << 26
_FEWEST_ROWS: Final = 128
"""The fewest rows of a piece: the sums of the items' gradients are read and written once for each."""


class Repeated(NamedTuple):
    """The distinct items of a batch."""

    items: Tensor
    """(R,) ascending."""
    positions: Tensor
    """(B, 1 + K) the position of each item of the batch in `items`."""
    counts: Tensor
    """(R,) how often each occurs in the batch, floating."""


def repeated_items(items: Tensor, n_items: int) -> Repeated | None:
    """Return the distinct items of a batch, or None if scoring each pair is faster.

    It always is on devices other than the CPU: gathering is cheap there, and counting would wait for the device.

    Args:
        items: (B, 1 + K) int64.
        n_items: number of items in the catalogue.
    """
    if items.size(1) < _FEWEST or items.device.type != "cpu":
        return None
    counts = torch.bincount(items.reshape(-1), minlength=n_items)
    distinct = counts.nonzero().squeeze(1)
    if len(distinct) > _MOST_DISTINCT * items.size(1):
        return None
    positions = torch.empty(n_items, dtype=torch.int64)
    positions[distinct] = torch.arange(len(distinct))
    return Repeated(distinct, positions[items], counts[distinct].to(torch.get_default_dtype()))


class BatchItems:
    """Counts the items of a batch for the scores and then for the L2 term of a training step, once for both.

    Args:
        n_items: number of items in the catalogue.
    """

    def __init__(self, n_items: int) -> None:
        self._n_items = n_items
        self._last: tuple[Tensor, Repeated | None] | None = None

    def count(self, items: Tensor, *, keep: bool) -> Repeated | None:
        """Return what `repeated_items` does for items (B, 1 + K), and keep it for `sum_squares` if that follows."""
        repeated = repeated_items(items, self._n_items)
        self._last = (items, repeated) if keep else None
        return repeated

    def sum_squares(self, look_up: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
        """Return the sum of the squared norms of the embeddings of items (B, 1 + K), each as often as it occurs.

        Args:
            look_up: returns embeddings (..., D) of items (...).
            items: (B, 1 + K).
        """
        last, self._last = self._last, None
        repeated = last[1] if last is not None and last[0] is items else repeated_items(items, self._n_items)
        if repeated is None:
            return look_up(items).square().sum()
        return look_up(repeated.items).square().sum(-1) @ repeated.counts


def log_sums(states: Tensor, items: Tensor, targets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
    """Return the sum over rows of w (log Σ exp(s·v) - s·v⁺), over the vectors v of all items.

    With targets and without weights it is `cross_entropy(states @ items.T, targets, reduction="sum")` to rounding. The
    gradients are computed along with the sum, piece after piece while the scores of a piece are in the processor's
    cache, so that B x I scores are never held; the backward pass multiplies them by a number. It cannot be
    differentiated twice.

    *Source:* the pieces are those of Hsu et al., "Liger Kernel: Efficient Triton Kernels for LLM Training", 2024,
    section 3.2, FusedLinearCrossEntropy.

    Args:
        states: (B, D) floating.
        items: (I, D) of the same type.
        targets: (B,) int64, the item v⁺ of each row; None to subtract nothing.
        weights: (B,) floating, w, which is not trained; None for 1.
    """
    total: Tensor = _LogSums.apply(states, items, targets, weights)  # type: ignore[no-untyped-call]
    return total


class _LogSums(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, states: Tensor, items: Tensor, targets: Tensor | None, weights: Tensor | None) -> Tensor:
        states, items = states.contiguous(), items.contiguous()
        scores = _SCORES if states.device.type == "cpu" else _SCORES_OF_ACCELERATOR
        n_rows = min(len(states), max(_FEWEST_ROWS, scores // len(items)))
        buffer_RI = states.new_empty(n_rows, len(items))
        of_states_BD, of_items_ID, total = torch.empty_like(states), torch.zeros_like(items), states.new_zeros(())
        for start in range(0, len(states), n_rows):
            rows = slice(start, start + n_rows)
            states_RD, targets_R1 = states[rows], None if targets is None else targets[rows, None]
            scores_RI = torch.mm(states_RD, items.T, out=buffer_RI[: len(states_RD)])
            positives_R1 = 0.0 if targets_R1 is None else scores_RI.gather(1, targets_R1)
            largest_R1 = scores_RI.amax(1, keepdim=True)
            sums_R1 = scores_RI.sub_(largest_R1).exp_().sum(1, keepdim=True)
            terms_R1 = largest_R1 + sums_R1.log() - positives_R1
            errors_RI = scores_RI.div_(sums_R1)
            if targets_R1 is not None:
                errors_RI.scatter_add_(1, targets_R1, -torch.ones_like(sums_R1))
            if weights is not None:
                terms_R1, errors_RI = weights[rows, None] * terms_R1, errors_RI.mul_(weights[rows, None])
            total += terms_R1.sum()
            torch.mm(errors_RI, items, out=of_states_BD[rows])
            of_items_ID.addmm_(errors_RI.T, states_RD)
        context.save_for_backward(of_states_BD, of_items_ID)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_states_BD, of_items_ID = context.saved_tensors
        return of_states_BD * gradient, of_items_ID * gradient, None, None
