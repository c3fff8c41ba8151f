"""SimpleX: matrix factorisation that adds an average of a user's items to the user.

Shapes: B users in a batch, K negatives, U users, I items, N items of the users of a batch, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.base import RecSysArch
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.data.interactions import CSR
from recrun.data.user_rows import bags_of
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf, Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, UnitInterval

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("simplex", loss="ccl", scores="cosine", new_users=True, gradients="layered")
class SimpleX(RecSysArch):
    """Score items by their cosine with a blend of the user's embedding and an average of the user's items.

    The blend is g e_u + (1 - g) V p_u, with p_u = Σ a_j e_j over the user's items in train, the positive being trained
    on included. The weights a_j are equal ("mean"), or a softmax of e_u · tanh(W e_j + b) ("user_attention") or of
    q · tanh(W e_j + b) ("self_attention").

    The authors' code (RecZoo) differs from the paper in two ways, which settings choose: there the empty places of a
    history, up to the length of the longest, take part in the softmax with a logit of 0, so that the items of a user
    with few count less (`pad_attention`); and items have other embeddings in histories than as candidates
    (`separate_history`). Its published number on Gowalla is of user_attention with both.

    *Source:* Mao, Zhu, Wang, Dai, Dong, Xiao, He, "SimpleX: A Simple and Strong Baseline for Collaborative Filtering",
    CIKM 2021, section 3.3.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of the initial embeddings.
        user_weight: g, the share of the user's own embedding; with 1 this is matrix factorisation.
        aggregator: how a user's items are averaged: with equal weights, or by attention of the user or of a vector that
            all users share.
        attention_dropout: dropout rate of the weights of attention.
        pad_attention: whether empty places of histories take part in the softmax of attention, as in RecZoo.
        separate_history: whether items have other embeddings in histories than as candidates, as in RecZoo.
        history_length: how many of a user's latest items are averaged; null for all.
        dropout: dropout rate of the users' vectors in training, after they are scaled to length 1 (RecZoo's
            net_dropout), so that the scores of a training step are no cosines.
        embedding_decay: weight of the L2 term on the embeddings of a batch, half their squared norms over B.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        init_std: PositiveFloat = 0.01,
        user_weight: UnitInterval = 0.5,
        aggregator: Literal["mean", "user_attention", "self_attention"] = "mean",
        attention_dropout: Annotated[
            Fraction, AppliesIf("aggregator != 'mean'", "aggregator is mean, without attention")
        ] = 0.0,
        pad_attention: Annotated[
            bool, AppliesIf("aggregator != 'mean'", "aggregator is mean, without attention")
        ] = False,
        separate_history: bool = False,
        history_length: PositiveInt | None = None,
        dropout: Fraction = 0.0,
        embedding_decay: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.history_length = history_length
        self.rows = data.csr() if history_length is None else self._latest(data.interactions.histories(data.n_users))
        self.users = nn.Embedding(data.n_users, embedding_dim)
        self.items = nn.Embedding(data.n_items, embedding_dim)
        self.batch_items = BatchItems(data.n_items, penalized=embedding_decay > 0)
        self.map = nn.Linear(embedding_dim, embedding_dim, bias=False)
        self.user_weight, self.embedding_decay = user_weight, embedding_decay
        self.aggregator, self.attention_dropout, self.dropout = aggregator, attention_dropout, dropout
        # The places that a history has; null for its items alone.
        self.n_places = (history_length or int(self.rows.lengths.max(initial=0))) if pad_attention else None
        if separate_history:
            self.history_items = nn.Embedding(data.n_items, embedding_dim)
        if aggregator != "mean":
            self.keys = nn.Linear(embedding_dim, embedding_dim)
        if aggregator == "self_attention":
            self.query = nn.Linear(embedding_dim, 1, bias=False)
        self.fold_in = FoldIn(self, unit=True)
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        return self.batch_items.scores(self.blend(users[:, 0]), items, self._of_items, whole=not self.items.sparse)

    def blend(self, users: Tensor) -> Tensor:
        """Return the unit vectors (B, D) of users (B,), blended with their items; dropped only in training."""
        vectors_BD = self._blend(self.users(users), self.rows.take(users.cpu().numpy()))
        return F.dropout(vectors_BD, self.dropout, self.training) if self.dropout else vectors_BD

    def _blend(self, users_BD: Tensor, rows: CSR) -> Tensor:
        """Return the unit vectors (B, D) of users' own embeddings, blended with the items of their rows."""
        items_N, starts_B = bags_of(rows, users_BD.device)
        table = self.items if "history_items" not in self._modules else self.history_items
        if self.aggregator == "mean":
            history_BD = F.embedding_bag(items_N, table.weight, starts_B, mode="mean", sparse=table.sparse)
        else:
            lengths_B = torch.from_numpy(rows.lengths).to(users_BD.device)
            weights_N = self._attend(users_BD, table(items_N), lengths_B)
            bags = {"mode": "sum", "per_sample_weights": weights_N, "sparse": table.sparse}
            history_BD = F.embedding_bag(items_N, table.weight, starts_B, **bags)
        return F.normalize(self.user_weight * users_BD + (1 - self.user_weight) * self.map(history_BD), dim=-1)

    def _attend(self, users_BD: Tensor, items_ND: Tensor, lengths_B: Tensor) -> Tensor:
        """Return the weights (N,) of the items of users' rows, one row after the other."""
        rows_N = torch.arange(len(users_BD), device=users_BD.device).repeat_interleave(lengths_B)
        keys_ND = torch.tanh(self.keys(items_ND))
        if self.aggregator == "self_attention":
            logits_N = self.query(keys_ND).squeeze(1)
        else:
            logits_N = (keys_ND * users_BD[rows_N]).sum(1)
        # The largest logit of each row is taken away, so that no exponential is infinite; that of an empty place is 0.
        lowest = -torch.inf if self.n_places is None else 0.0
        largest_B = users_BD.new_full((len(users_BD),), lowest).scatter_reduce(0, rows_N, logits_N.detach(), "amax")
        powers_N = torch.exp(logits_N - largest_B[rows_N])
        sums_B = torch.zeros_like(largest_B).index_add(0, rows_N, powers_N)
        if self.n_places is not None:
            sums_B = sums_B + (self.n_places - lengths_B).clamp(min=0) * torch.exp(-largest_B)
        return F.dropout(powers_N / sums_B[rows_N], self.attention_dropout, self.training)

    def _latest(self, histories: CSR) -> CSR:
        """Return the items of rows in the order of time, each once and ascending, or the latest of them."""
        if self.history_length is None:
            return histories.distinct()
        items, lengths = histories.latest(np.arange(histories.n_rows), self.history_length)
        rows = np.repeat(np.arange(histories.n_rows), lengths)
        return CSR.from_pairs(rows, items[np.arange(items.shape[1]) < lengths[:, None]], histories.n_rows)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the L2 term on the batch's embeddings."""
        if self.embedding_decay == 0:
            return 0.0
        squares = self.users(users).square().sum() + self.batch_items.sum_squares(self.items, items)
        return self.embedding_decay * 0.5 * squares / len(users)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the unit vectors of all users, blended with their items, (U, D), and of all items (I, D)."""
        all_users = torch.arange(self.users.num_embeddings, device=self.users.weight.device)
        return self.blend(all_users), self._of_items()

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the unit vectors (B, D) of new users.

        The place of their own embedding takes the unit vector of `FoldIn`, at the mean length of the known users'.
        """
        length = self.users.weight.norm(dim=1).mean()
        return self._blend(length * self.fold_in.embed(histories), self._latest(histories))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.embed_histories(histories) @ self._of_items().T

    def embed(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """Return the unit vectors (B, D) of users (B,), blended with their items, and of items (B,)."""
        return self.blend(users), self._of_items(items)

    def _of_items(self, items: Tensor | None = None) -> Tensor:
        return F.normalize(self.items.weight if items is None else self.items(items), dim=-1)
