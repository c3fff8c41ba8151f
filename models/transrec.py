"""TransRec: each user as a translation from the item before to the next one.

Shapes: B users, L items of a history, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, PositiveInt, Where

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("transrec", loss="bpr", gradients="mixed", states="last")
class TransRec(SequenceArch):
    """Predict the next item by its distance from the item before, moved by the translation of the user.

    The score of item j for user u after item i is β_j - |γ_i + t + t_u - γ_j|², with vectors γ of items, a translation
    t of all users and the offset t_u of one, and biases β. With s = γ_i + t + t_u it is the product of [2 s, 1, -|s|²]
    and [γ_j, β_j - |γ_j|², 1], by which items are ranked. The vectors γ are used as γ / max(1, |γ|), and so stay in
    the unit ball, which the paper restores after each step. They and t start with length 1 and random directions, t_u
    and β with 0. The distance is the squared L2, one of the paper's two; RecBole takes its root, and has no unit ball.
    It scores users of the data only.

    *Source:* He, Kang, McAuley, "Translation-based Recommendation", RecSys 2017, section 3.

    Args:
        max_length: the items of a history that are read: the last one, 1.
        embedding_dim: length of the vectors.
        unit_ball: whether the vectors of items are kept within the unit ball.
    """

    personal: ClassVar[bool] = True

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: Annotated[
            PositiveInt, Where("max_length == 1", "expected 1, since only the last item is read; found {max_length}")
        ] = 1,
        embedding_dim: PositiveInt = 64,
        unit_ball: bool = True,
    ) -> None:
        super().__init__(data, max_length)
        self.unit_ball = unit_ball
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.translation = nn.Parameter(F.normalize(torch.randn(embedding_dim), dim=0))
        self.biases = nn.Parameter(torch.zeros(data.n_items, 1))
        with torch.no_grad():
            self.items.weight.copy_(F.normalize(torch.randn_like(self.items.weight), dim=1))
            self.users.weight.zero_()

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the vectors (B, D) of the last items of histories (B, L) of lengths (B,)."""
        last_B = items[torch.arange(len(items), device=items.device), lengths - 1]
        return self._within(self.items(last_B))

    def personalize(self, states: Tensor, users: Tensor) -> Tensor:
        """Return [2 s, 1, -|s|²] (B, D + 2), with s the states (B, D) moved by the translations of users (B,)."""
        moved_BD = states + self.translation + self.users(users)
        squares_B1 = moved_BD.square().sum(dim=1, keepdim=True)
        return torch.cat([2 * moved_BD, torch.ones_like(squares_B1), -squares_B1], dim=1)

    def item_vectors(self) -> Tensor:
        """Return [γ, β - |γ|², 1] of all items (I, D + 2)."""
        items_ID = self._within(self.items.weight)
        offsets_I1 = self.biases - items_ID.square().sum(dim=1, keepdim=True)
        return torch.cat([items_ID, offsets_I1, torch.ones_like(offsets_I1)], dim=1)

    def _within(self, vectors: Tensor) -> Tensor:
        """Return vectors (N, D), those outside the unit ball scaled to length 1."""
        if not self.unit_ball:
            return vectors
        return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1.0)
