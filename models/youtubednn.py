"""YoutubeDNN: users as a function of the average of their items.

Shapes: B users in a batch, K negatives, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.item_products import BatchItems
from recrun.data.user_rows import UserRows, bags_of
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("youtubednn", loss="sampled_softmax", new_users=True, gradients="layered")
class YoutubeDNN(RecSysArch):
    """Score items by their product with a vector computed from the average embedding of the user's items.

    The average goes through a tower of layers with ReLU, each half as wide as the one before it, and the last as wide
    as an embedding; with none of them it is itself the user's vector. Users have no embedding of their own. The average
    is of all the user's items in train, including the positive that is trained on. The paper's tower also reads
    searches, age and the like, which interactions do not have, and predicts a watch from those before it.

    *Source:* Covington, Adams, Sargin, "Deep Neural Networks for YouTube Recommendations", RecSys 2016, section 3, with
    the sampled softmax as loss. The form of BARS ("YoutubeNet") has no tower, and one embedding for an item in the
    average and as the positive.

    Args:
        embedding_dim: D, length of the embeddings.
        tower_layers: layers between the average and the user's vector.
        share_embeddings: whether scored items have the embeddings that are averaged; if not, they have their own.
        similarity: "dot" for the product, "cosine" for the cosine of the vectors.
        init_std: standard deviation of the initial embeddings.
        embedding_decay: weight of the L2 term on the scored items' embeddings of a batch, half their squared norms over
            B.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        tower_layers: NonNegativeInt = 0,
        share_embeddings: bool = True,
        similarity: Literal["dot", "cosine"] = "dot",
        init_std: PositiveFloat = 0.01,
        embedding_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.rows = UserRows(data)
        self.n_users, self.similarity, self.embedding_decay = data.n_users, similarity, embedding_decay
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.batch_items = BatchItems(data.n_items, penalized=embedding_decay > 0)
        self.averaged = None if share_embeddings else nn.Embedding(data.n_items, embedding_dim)
        width, layers = embedding_dim, []
        for layer in reversed(range(tower_layers)):
            layers += [nn.Linear(width, embedding_dim * 2**layer), nn.ReLU()]
            width = embedding_dim * 2**layer
        self.tower = nn.Sequential(*layers)
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        users_BD = self._read(self.rows.of(users[:, 0]))
        return self.batch_items.scores(users_BD, items, self._of_items, whole=not self.items.sparse)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the embeddings of the batch's items."""
        if self.embedding_decay == 0:
            return 0.0
        return self.embedding_decay * 0.5 * self.batch_items.sum_squares(self.items, items) / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of all users (U, D) and the embeddings of all items (I, D)."""
        all_users = torch.arange(self.n_users, device=self.items.weight.device)
        return self._read(self.rows.of(all_users)), self._of_items()

    def embed(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors (B, D) of users (B,) and of items (B,)."""
        return self._read(self.rows.of(users)), self._of_items(items)

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users with the items of these rows."""
        return self._read(histories.distinct())

    def _read(self, rows: CSR) -> Tensor:
        averaged = self.items if self.averaged is None else self.averaged
        items_N, starts_B = bags_of(rows, averaged.weight.device)
        means_BD = F.embedding_bag(items_N, averaged.weight, starts_B, mode="mean", sparse=averaged.sparse)
        return self._scale(self.tower(means_BD))

    def _of_items(self, items: Tensor | None = None) -> Tensor:
        return self._scale(self.items.weight if items is None else self.items(items))

    def _scale(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors
