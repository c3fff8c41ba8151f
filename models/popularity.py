"""Most popular items, the baseline without personalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.registry import MODELS

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("popularity", new_users=True)
class Popularity(ClosedFormArch):
    """Recommend the most popular items to every user.

    The score of an item is the number of its training interactions.

    *Source:* the non-personalised baseline, for example in Cremonesi, Koren, Turrin, "Performance of Recommender
    Algorithms on Top-N Recommendation Tasks", RecSys 2010, section 3.1.
    """

    counts: Tensor

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.n_users = data.n_users
        self.register_buffer("counts", torch.zeros(data.n_items))

    def fit(self, data: TrainingData) -> None:
        """Count each item's interactions."""
        self.counts.copy_(torch.from_numpy(data.item_counts()))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return one dimension: 1 for each user, the count for each item."""
        return self.counts.new_ones(self.n_users, 1), self.counts[:, None]

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return 1 for each new user, (B, 1)."""
        return self.counts.new_ones(histories.n_rows, 1)
