"""SimpleX: matrix factorisation that adds the average of a user's items to the user.

Shapes: B users in a batch, K negatives, U users, I items, L items of a user's history, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.data.user_rows import UserRows, bags_of
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt, UnitInterval

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("simplex", loss="ccl", scores="cosine", new_users=True, gradients="mixed")
class SimpleX(RecSysArch):
    """Score items by their cosine with a blend of the user's embedding and the average of the user's items.

    The blend is g e_u + (1 - g) V p_u, with p_u the average of the embeddings of the user's items in train: all of
    them, where the paper sets a limit, and including the positive being trained on. Of the paper's three ways to
    aggregate, this is the average; the authors' result on Gowalla is that of attention by the user, with dropout.

    *Source:* Mao, Zhu, Wang, Dai, Dong, Xiao, He, "SimpleX: A Simple and Strong Baseline for Collaborative Filtering",
    CIKM 2021, section 3.3.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial embeddings.
        user_weight: g, the share of the user's own embedding; with 1 this is matrix factorisation.
        embedding_decay: weight of the L2 term on the embeddings of a batch, half their squared norms over B.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        init_std: PositiveFloat = 0.01,
        user_weight: UnitInterval = 0.5,
        embedding_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.rows = UserRows(data)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.map = nn.Linear(embedding_dim, embedding_dim, bias=False)
        self.user_weight, self.embedding_decay = user_weight, embedding_decay
        self.fold_in = FoldIn(self, unit=True)
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        users_B1D = self.blend(users[:, 0])[:, None]
        return (users_B1D * F.normalize(self.items(items), dim=-1)).sum(-1)

    def blend(self, users: Tensor) -> Tensor:
        """Return the unit vectors (B, D) of users (B,), blended with their items."""
        return self._blend(self.users(users), self.rows.of(users))

    def _blend(self, users_BD: Tensor, rows: CSR) -> Tensor:
        """Return the unit vectors (B, D) of users' own embeddings, blended with the items of their rows."""
        items_N, starts_B = bags_of(rows, users_BD.device)
        history_BD = F.embedding_bag(items_N, self.items.weight, starts_B, mode="mean")
        return F.normalize(self.user_weight * users_BD + (1 - self.user_weight) * self.map(history_BD), dim=-1)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's embeddings."""
        if self.embedding_decay == 0:
            return 0.0
        squares = self.users(users).square().sum() + self.items(items).square().sum()
        return self.embedding_decay * 0.5 * squares / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the unit vectors of all users, blended with their items, (U, D), and of all items (I, D)."""
        all_users = torch.arange(self.users.num_embeddings, device=self.users.weight.device)
        return self.blend(all_users), F.normalize(self.items.weight, dim=-1)

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the unit vectors (B, D) of new users.

        The place of their own embedding takes the unit vector of `FoldIn`, at the mean length of the known users'.
        """
        length = self.users.weight.norm(dim=1).mean()
        return self._blend(length * self.fold_in.embed(histories), histories.distinct())

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.embed_histories(histories) @ F.normalize(self.items.weight, dim=-1).T

    def embed(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unit vectors (B, D) of users (B,), blended with their items, and of items (B,)."""
        return self.blend(users), F.normalize(self.items(items), dim=-1)
