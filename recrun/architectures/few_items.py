"""Batches whose negatives are few items again and again, as those from within the batch are.

Scoring each (user, item) of a batch gathers a row for each. Where the batch holds few distinct items, all products of
its users with these items are one matrix product, and many times faster (`benchmarks/negatives.py`).

Shapes: B users in a batch, K negatives, R distinct items of the batch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

_FEWEST: Final = 32
"""Items per row from which on looking for repetitions pays."""
_MOST_DISTINCT: Final = 32
"""Distinct items, in items per row, up to which the matrix product is the faster way, by a margin."""


class Repeated(NamedTuple):
    """The items of a batch, each once."""

    items: Tensor
    """(R,) ascending."""
    places: Tensor
    """(B, 1 + K) where each item of the batch stands in `items`."""
    counts: Tensor
    """(R,) how often each occurs, floating."""


def repeated_items(items: Tensor, n_items: int) -> Repeated | None:
    """Return the distinct items of a batch, or None where going through the batch as it stands is the better way.

    On other devices than the processor it always is: gathering is cheap there, and counting would wait for the device.

    Args:
        items: (B, 1 + K) int64.
        n_items: I, how many there are.
    """
    if items.size(1) < _FEWEST or items.device.type != "cpu":
        return None
    counts = torch.bincount(items.reshape(-1), minlength=n_items)
    distinct = counts.nonzero().squeeze(1)
    if len(distinct) > _MOST_DISTINCT * items.size(1):
        return None
    places = torch.empty(n_items, dtype=torch.int64)
    places[distinct] = torch.arange(len(distinct))
    return Repeated(distinct, places[items], counts[distinct].to(torch.get_default_dtype()))
