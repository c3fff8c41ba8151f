"""FPMC: matrix factorisation plus factorised transitions from a user's last items to the next one.

Shapes: B users, L items of a history, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from recrun.architectures.sequence import SequenceArch
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("fpmc", loss="bpr", gradients="dense", states="last")
class FPMC(SequenceArch):
    """Predict the next item by the user's taste, as matrix factorisation does, and by the items just before it.

    The score of item i for user u after the items l of the last basket is u · a_i + mean (b_l · c_i), with vectors of
    users u and three vectors a, b, c of each item. The paper's baskets are what is bought at once; here a basket is the
    last `max_length` items, by default one, as is usual for data without baskets. It scores users of the data only.

    *Source:* Rendle, Freudenthaler, Schmidt-Thieme, "Factorizing Personalized Markov Chains for Next-Basket
    Recommendation", WWW 2010, sections 4.3 and 5.

    Args:
        max_length: how many latest items make the last basket.
        embedding_dim: length of each of the vectors.
        initialization: the initial vectors: "normal" ones, or normal ones by "xavier" for each table of vectors.
        init_std: standard deviation of the initial vectors.
    """

    personal: ClassVar[bool] = True

    def __init__(
        self,
        data: TrainingData,
        *,
        max_length: PositiveInt = 1,
        embedding_dim: PositiveInt = 64,
        initialization: Literal["normal", "xavier"] = "normal",
        init_std: Annotated[
            PositiveFloat,
            AppliesIf("initialization == 'normal'", "it is for initialization=normal, found {initialization}"),
        ] = 0.01,
    ) -> None:
        super().__init__(data, max_length)
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.last_items = nn.Embedding(data.n_items, embedding_dim)
        self.next_items = nn.Embedding(data.n_items, embedding_dim)
        self.initialize(init_std)
        if initialization == "xavier":
            for embedding in (self.users, self.items, self.last_items, self.next_items):
                nn.init.xavier_normal_(embedding.weight)

    def forward(self, items: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean vectors (B, D) of the items of histories (B, L) of lengths (B,)."""
        is_filled_BL1 = (torch.arange(items.size(1), device=items.device) < lengths[:, None])[..., None]
        return (self.last_items(items) * is_filled_BL1).sum(dim=1) / lengths[:, None]

    def personalize(self, states: Tensor, users: Tensor) -> Tensor:
        """Return the vectors of users (B,) next to the states (B, D) of their histories: (B, 2 D)."""
        return torch.cat([self.users(users), states], dim=1)

    def item_vectors(self) -> Tensor:
        """Return the vectors of items for users next to those for what came before (I, 2 D)."""
        return torch.cat([self.items.weight, self.next_items.weight], dim=1)
