"""An embedding whose dense gradient is kept from step to step, and of which only the rows touched last are cleared.

torch allocates and fills a gradient as large as the table in every step, though a batch touches a small part of its
rows. With dense optimizers that is a large part of an epoch (`benchmarks/training.py` measures it).

Shapes: R rows of the table, D embedding, N indices.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

_REMEMBERED: Final = 64
"""Backward passes whose rows are remembered between two clearings; with more, the whole gradient is cleared."""


class RowEmbedding(nn.Embedding):
    """`nn.Embedding` with a faster backward pass on the CPU; parameters, values and gradients are the same.

    The gradient is `weight.grad` as ever: any loss, any optimizer for dense gradients, and `optimizer.zero_grad()` with
    either meaning of `set_to_none` work with it. The table may take part in the loss in other ways too. With
    `sparse=True`, or on another device (where adding rows is not deterministic), torch's own backward pass is used.

    Sums of rows that occur several times in a batch may differ from torch's by rounding.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept: Tensor | None = None
        self._touched: list[Tensor] = []
        self._is_dense = False

    def forward(self, input: Tensor) -> Tensor:
        """Return the rows (*, D) of indices (*)."""
        plain = self.sparse or self.padding_idx is not None or self.max_norm is not None or self.scale_grad_by_freq
        if plain or self.weight.device.type != "cpu" or not (torch.is_grad_enabled() and self.weight.requires_grad):
            return super().forward(input)
        rows: Tensor = _RowLookUp.apply(self.weight, input.reshape(-1), self)  # type: ignore[no-untyped-call]
        return rows.view(*input.shape, self.embedding_dim)

    def add_gradient(self, index: Tensor, rows: Tensor) -> None:
        """Add rows (N, D) to the gradient at indices (N,)."""
        if self.weight.grad is None:
            self.weight.grad = self._cleared()
        self.weight.grad.index_add_(0, index, rows)
        if self.weight.grad is self._kept:
            self._touched.append(index)
            # With many passes between two clearings one full clearing costs less than their rows one by one.
            if len(self._touched) > _REMEMBERED:
                self._touched, self._is_dense = [], True

    def _cleared(self) -> Tensor:
        """Return the kept gradient (R, D), all zero."""
        kept = self._kept
        if kept is None or kept.shape != self.weight.shape or kept.dtype != self.weight.dtype:
            kept = torch.zeros_like(self.weight)
            # Whatever else adds to the gradient touches rows that are not remembered.
            self.weight.register_hook(self._notice_dense)  # type: ignore[no-untyped-call]
        elif self._is_dense:
            kept.zero_()
        else:
            for index in self._touched:
                kept.index_fill_(0, index, 0.0)
        self._kept, self._touched, self._is_dense = kept, [], False
        return kept

    def _notice_dense(self, gradient: Tensor) -> None:
        self._is_dense = True


class _RowLookUp(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, index: Tensor, owner: RowEmbedding) -> Tensor:
        context.owner = owner
        context.save_for_backward(index)
        return weight.index_select(0, index)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, None, None]:
        context.owner.add_gradient(*context.saved_tensors, gradient)
        return None, None, None
