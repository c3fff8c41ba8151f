"""VBPR: matrix factorisation with vectors of the items, such as embeddings of images.

Shapes: B users in a batch, K negatives, U users, I items, D embedding, C content, V numbers in the vectors of an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.architectures.item_vectors import vectors_of_items
from recrun.data.fields import Tokenizer
from recrun.data.tags import ID, ITEM, USER
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("vbpr", loss="bpr", new_users=True, gradients="mixed", item_vectors=True)
class VBPR(RecSysArch):
    """Add to matrix factorisation a preference for what vectors of the items tell.

    With f_i the vectors of item i, those of several files one after the other, a score is
    b_i + p_u·q_i + t_u·(E f_i) + w·f_i: the product of embeddings, that of the user's taste with the item's projected
    content, and biases by item and by content. The paper's global offset and users' biases are left out: they are the
    same for all items of a user, so that BPR does not train them, and they do not change a ranking.

    *Source:* He, McAuley, "VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback", AAAI 2016, equation 4,
    where the vectors are 4,096 activations of a network on images.

    Args:
        embedding_dim: D, length of the embeddings p and q.
        content_dim: C, length of the projected content and of the users' tastes t.
        vector_scale: how the items' vectors are scaled: "none", "max" for a division by the largest absolute number of
            each file, "unit" for unit length in each file.
        init_std: standard deviation of the initial embeddings and tastes.
        embedding_decay: weight of the L2 term on the embeddings, tastes and items' biases of a batch, half their
            squared norms over B.
        projection_decay: weight of the L2 term on E and w, half their squared norms.
    """

    features: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        content_dim: PositiveInt = 64,
        vector_scale: Literal["none", "max", "unit"] = "none",
        init_std: PositiveFloat = 0.01,
        embedding_decay: NonNegativeFloat = 0.0,
        projection_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        vectors = list(vectors_of_items(data, "vbpr", vector_scale).values())
        features_IV = vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)
        # The vectors are part of the data, so they are no part of the state.
        self.register_buffer("features", features_IV, persistent=False)
        self.tokenizer = Tokenizer(data.fields.groupby(ID))
        self.tokenizer.embed(embedding_dim, ID)
        self.User, self.Item = self.tokenizer[USER, ID], self.tokenizer[ITEM, ID]
        self.tastes = nn.Embedding(data.n_users, content_dim)
        self.biases = nn.Embedding(data.n_items, 1)
        self.projection = nn.Linear(features_IV.shape[1], content_dim, bias=False)
        self.content_bias = nn.Linear(features_IV.shape[1], 1, bias=False)
        self.batch_items = BatchItems(data.n_items, penalized=embedding_decay > 0)
        self.embedding_decay, self.projection_decay = embedding_decay, projection_decay
        self.fold_in = FoldIn(self)
        self.initialize(init_std)
        nn.init.zeros_(self.biases.weight)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        return self.batch_items.scores(self._of_users(users[:, 0]), items, self._of_items)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 terms on what a batch looks up, and on the projection."""
        loss: Tensor | float = 0.0
        if self.embedding_decay > 0:
            squares = self.User.look_up(users).square().sum() + self.tastes(users).square().sum()
            squares = squares + self.batch_items.sum_squares(self._embeddings_and_biases, items)
            loss = loss + self.embedding_decay * 0.5 * squares / len(users)
        if self.projection_decay > 0:
            squares = self.projection.weight.square().sum() + self.content_bias.weight.square().sum()
            loss = loss + self.projection_decay * 0.5 * squares
        return loss

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return vectors (U, D + C + 1) and (I, D + C + 1) whose products are the scores; users' last number is 1."""
        users = torch.arange(self.tastes.num_embeddings, device=self.features.device)
        return self._of_users(users), self._of_items()

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D + C + 1) of new users by `FoldIn`, with a weight of the bias in place of the 1."""
        return self.fold_in.embed(histories)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.fold_in.score(histories)

    def _of_users(self, users: Tensor) -> Tensor:
        tastes = self.tastes(users)
        return torch.cat([self.User.look_up(users), tastes, torch.ones_like(tastes[..., :1])], dim=-1)

    def _of_items(self, items: Tensor | None = None) -> Tensor:
        """Return the vectors (..., D + C + 1) of items (...), or of all."""
        if items is None:
            items = torch.arange(len(self.features), device=self.features.device)
        content = self._content(items)
        bias = self.biases(items) + content[..., -1:]
        return torch.cat([self.Item.look_up(items), content[..., :-1], bias], dim=-1)

    def _content(self, items: Tensor) -> Tensor:
        """Return the projected vectors of items (...) and their biases, (..., C + 1)."""
        weight = torch.cat([self.projection.weight, self.content_bias.weight])
        if items.numel() < len(self.features):
            return F.linear(F.embedding(items, self.features), weight)
        # Where a batch has more entries than there are items, each item is projected once.
        return F.embedding(items, F.linear(self.features, weight))

    def _embeddings_and_biases(self, items: Tensor) -> Tensor:
        return torch.cat([self.Item.look_up(items), self.biases(items)], dim=-1)
