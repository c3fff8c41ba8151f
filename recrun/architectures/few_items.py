"""Find the few distinct items that a batch repeats (in-batch negatives do), to score them by one matrix product.

Scoring each (user, item) pair of a batch gathers one embedding per pair. If the batch has few distinct items, a single
matrix product of its users with these items is many times faster (`benchmarks/negatives.py`).

Shapes: B users in a batch, K negatives, R distinct items of the batch.
"""

from __future__ import annotations

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
