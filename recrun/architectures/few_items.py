"""Find the few distinct items that a batch repeats (in-batch negatives do), to score them by one matrix product.

Scoring each (user, item) pair of a batch gathers one embedding per pair. If the batch has few distinct items, a single
matrix product of its users with these items is many times faster (`benchmarks/negatives.py`).

Shapes: B users in a batch, K negatives, R distinct items of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor

_FEWEST: Final = 32
"""The fewest items per row for which looking for repeated items pays."""
_MOST_DISTINCT: Final = 32
"""The most distinct items, as a multiple of the items per row, for which the matrix product is clearly faster."""


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
