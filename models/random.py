"""Random scores, the baseline that any recommender must beat.

Shapes: B users in a batch, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.registry import MODELS

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("random")
class Random(ClosedFormArch):
    """Recommend items at random, reproducibly by the run's seed.

    A score depends only on the seed, the user and the item. It is a hash of the three, so it is the same on every
    device and in every block of users, and no matrix of users by items is stored.

    *Source:* the hash is the finalizer of MurmurHash3 (Appleby, 2011, `fmix32`), applied twice.
    """

    key: Tensor

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.n_items = data.n_items
        self.register_buffer("key", torch.randint(-(2**31), 2**31, (1,), dtype=torch.int32))

    def fit(self, data: TrainingData) -> None:
        """Do nothing: the key was drawn in the constructor."""

    def score(self, users: Tensor) -> Tensor:
        """Return scores (B, I), uniform in [-1, 0), for users (B,)."""
        items = torch.arange(self.n_items, dtype=torch.int32, device=users.device)
        columns = _mix(items - self.key)
        rows = _mix(_mix(users.to(torch.int32) + self.key) ^ self.key)
        scores = torch.empty(len(users), self.n_items, device=users.device)
        for row, scores_of_user in zip(rows, scores, strict=True):  # one row at a time fits in the CPU cache
            # Negative, because the top scores are then close to 0, where float32 keeps them all distinct.
            torch.div(_mix(columns ^ row) | -(2**31), 2**31, out=scores_of_user)
        return scores


def _mix(numbers: Tensor) -> Tensor:
    """Return a well-mixed bijection of int32; products wrap around."""
    for shift, factor in ((16, -0x7A143595), (13, -0x3D4D51CB)):
        numbers = _fold(numbers, shift).mul_(factor)
    return _fold(numbers, 16)


def _fold(numbers: Tensor, shift: int) -> Tensor:
    # torch's shift extends the sign; the mask removes it.
    return (numbers >> shift).bitwise_and_(2 ** (32 - shift) - 1).bitwise_xor_(numbers)
