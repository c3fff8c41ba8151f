"""Score items from tensors alone, without the data set, so that a model can be exported as a network.

Shapes: B rows of a batch, L items of a history, U users, I items, D length of the vectors.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn


class ScoringNetwork(nn.Module):
    """Base of networks that score all items.

    Attributes:
        reads: what `forward` takes: users of the data, whole rows, or histories.
        outputs: what it returns; the first are the scores (B, I).
    """

    reads: ClassVar[Literal["users", "rows", "histories"]]
    outputs: ClassVar[tuple[str, ...]] = ("scores",)


class UserNetwork(ScoringNetwork):
    """Scores items for users of the data: `forward(users (B,) int64)`.

    Args:
        users_UD: the vectors of users.
        items_ID: the vectors of items, whose products with those of users are the scores.
    """

    reads = "users"
    users_UD: Tensor
    items_ID: Tensor

    def __init__(self, users_UD: Tensor, items_ID: Tensor) -> None:
        super().__init__()
        self.register_buffer("users_UD", users_UD.detach())
        self.register_buffer("items_ID", items_ID.detach())

    def forward(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) for users (B,)."""
        return self.users_UD[users] @ self.items_ID.T


class PairNetwork(ScoringNetwork):
    """Scores items for users of the data by a model whose scores are no products.

    Args:
        model: has `score_all(users (B,)) -> (B, I)`, with all items in one block.
    """

    reads = "users"

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) for users (B,)."""
        scores: Tensor = self.model.score_all(users)
        return scores


class RowNetwork(ScoringNetwork):
    """Scores items for anyone by whole rows: `forward(rows (B, I) float32)`, 1 where a user has met an item, else 0.

    Args:
        model: has `score_rows(rows (B, I)) -> (B, I)`.
    """

    reads = "rows"

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        """Return the scores (B, I) for rows (B, I)."""
        scores: Tensor = self.model.score_rows(rows)
        return scores


class HistoryNetwork(ScoringNetwork):
    """Scores items for anyone by histories: `forward(items (B, L) int64, lengths (B,) int64)`.

    Histories are padded on the right, with any item. Of a longer history than the model reads, the latest items count.
    An empty history gets scores of 0, as in evaluations.

    Args:
        model: a model of sequences, with `max_length`, `read(items, lengths)` and `item_vectors()`.
    """

    reads = "histories"
    outputs = ("scores", "states")

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (B, I), and the states (B, D) whose products with the items' vectors they are."""
        longest = self.model.max_length
        shifts_BL = (lengths - longest).clamp(min=0)[:, None] + torch.arange(items.size(1), device=items.device)
        latest_BL = items.gather(1, shifts_BL.clamp(max=items.size(1) - 1))
        states_BD = self.model.read(latest_BL, lengths.clamp(min=1, max=longest))
        states_BD = states_BD * (lengths > 0)[:, None]
        return states_BD @ self.model.item_vectors().T, states_BD
