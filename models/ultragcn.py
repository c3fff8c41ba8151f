"""UltraGCN: the limit of infinitely many graph convolutions, approximated by a weighted loss.

Shapes: B users in a batch, K negatives, U users, I items, S neighbours of an item, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recrun.architectures.base import RecSysArch, hide_uncounted
from recrun.architectures.fold_in import FoldIn
from recrun.architectures.item_products import BatchItems
from recrun.architectures.prediction import Batch
from recrun.architectures.sparse import largest_of_product
from recrun.data.fields import Tokenizer
from recrun.data.postprocessing.batch_negatives import SEEN, SHARED
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import ConfigError, Fault
from recrun.registry import LOSSES, MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.criterions import BaseCriterion
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("ultragcn", loss="bce", losses=("bce",), new_users=True)
class UltraGCN(RecSysArch):
    """Factorise the interaction matrix by a cross entropy whose weights approximate infinite graph convolution.

    With l(s) = -log sigmoid(s), s_ui the score, d the nodes' degrees and b_ui = sqrt((d_u + 1) / (d_i + 1)) / d_u, the
    loss of a row is the sum of
    (positive_weight + positive_constraint * b_ui) l(s_ui) of the positive,
    unobserved_weight times the mean of (negative_base + negative_constraint * b_uj) l(-s_uj) of the negatives,
    item_weight times the sum of w_ij l(s_uj) over the neighbours j of the positive: the items with the largest w_ij.
    With G = X'X the items' common users and g the sums of its rows, the authors' code, and so their published numbers,
    have w_ij = G_ij / g_i * sqrt((g_i + 1) / (g_j + 1)) with i a neighbour of itself, usually the first; the paper has
    w_ij = G_ij / (g_i - G_ii) * sqrt(g_i / g_j) for j other than i.
    The terms of `bce` are weighted one by one, so no other loss can be chosen.

    *Source:* Mao, Zhu, Xiao, Lu, Wang, He, "UltraGCN: Ultra Simplification of Graph Convolutional Networks for
    Recommendation", CIKM 2021; the constant weights of the terms and the L2 term on all embeddings as in its
    authors' code, where the loss is summed over the rows instead of averaged. There a user's own items may be drawn as
    negatives; here they are not.

    Args:
        embedding_dim: length of the embeddings.
        n_neighbors: S, how many similar items are kept for each item.
        item_graph: whose w_ij: "code" for that of the authors' code, with the item itself; "paper" for the paper's.
        item_weight: weight of the terms of the items' neighbours.
        positive_weight: constant weight of a positive.
        positive_constraint: weight of a positive in proportion to b_ui.
        unobserved_weight: weight of the mean over the negatives.
        negative_base: constant weight of a negative.
        negative_constraint: weight of a negative in proportion to b_uj.
        init_std: standard deviation of the initial embeddings.
        embedding_decay: weight of the L2 term on all embeddings, half their squared norms over B.
    """

    neighbors: Tensor
    neighbor_weights: Tensor
    user_factors: Tensor
    item_factors: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        embedding_dim: PositiveInt = 64,
        n_neighbors: PositiveInt = 10,
        item_graph: Literal["code", "paper"] = "code",
        item_weight: NonNegativeFloat = 5e-4,
        positive_weight: NonNegativeFloat = 1e-6,
        positive_constraint: NonNegativeFloat = 1.0,
        unobserved_weight: PositiveFloat = 300.0,
        negative_base: NonNegativeFloat = 1e-6,
        negative_constraint: NonNegativeFloat = 1.0,
        init_std: PositiveFloat = 1e-4,
        embedding_decay: NonNegativeFloat = 1e-4,
    ) -> None:
        super().__init__()
        self.tokenizer = Tokenizer(data.fields.groupby(ID))
        self.tokenizer.embed(embedding_dim, ID)
        self.User, self.Item = self.tokenizer[USER, ID], self.tokenizer[ITEM, ID]
        self.batch_items = BatchItems(data.n_items)
        self.item_weight = item_weight
        self.positive_weight, self.positive_constraint = positive_weight, positive_constraint
        self.unobserved_weight = unobserved_weight
        self.negative_base, self.negative_constraint = negative_base, negative_constraint
        self.embedding_decay = embedding_decay
        degrees_U, degrees_I = data.csr().lengths, data.item_counts()
        factors = {"user_factors": np.sqrt(degrees_U + 1) / degrees_U.clip(1), "item_factors": (degrees_I + 1) ** -0.5}
        for name, values in factors.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)
        neighbors_IS, weights_IS = similar_items(data, n_neighbors, item_graph)
        self.register_buffer("neighbors", torch.from_numpy(neighbors_IS), persistent=False)
        self.register_buffer("neighbor_weights", torch.from_numpy(weights_IS), persistent=False)
        self.fold_in = FoldIn(self)
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        users_BD = self.User.look_up(users[:, 0])
        return self.batch_items.scores(users_BD, items, self._of_items, whole=not self.Item.embeddings.sparse)

    def training_loss(self, batch: Batch, criterion: BaseCriterion) -> Tensor:
        """Return the loss of a batch, its weighted terms averaged over the rows.

        Raises:
            ConfigError: the criterion is not `bce` with the mean as its reduction.
        """
        if not isinstance(criterion, LOSSES.get("bce")) or criterion.reduction != "mean":
            found = f"{type(criterion).__name__} with reduction {criterion.reduction}"
            message = f"ultragcn weighs the terms of bce and takes their mean, found {found}; give it BCELoss4Logits()"
            raise ConfigError(Fault(message, key="loss"))
        users, items = self.pairs(batch)
        scores_BK = self(users, items)
        if SHARED in batch:
            scores_BK = hide_uncounted(scores_BK, items, batch[SEEN])
        constraints_BK = self.user_factors[users] * self.item_factors[items]
        of_positives_B = self.positive_weight + self.positive_constraint * constraints_BK[:, 0]
        of_negatives_BK = self.negative_base + self.negative_constraint * constraints_BK[:, 1:]
        terms_B = of_positives_B * F.softplus(-scores_BK[:, 0])
        terms_B = terms_B + self.unobserved_weight * (of_negatives_BK * F.softplus(scores_BK[:, 1:])).mean(1)
        return terms_B.mean() + self.penalty(users, items)

    def penalty(self, users: Tensor, items: Tensor) -> Tensor | float:
        """Return the terms of the items' neighbours and the L2 term on all embeddings."""
        loss: Tensor | float = 0.0
        if self.item_weight > 0:
            scores_BS = self(users, self.neighbors[items[:, 0]])
            weights_BS = self.neighbor_weights[items[:, 0]]
            loss = self.item_weight * (weights_BS * F.softplus(-scores_BS)).sum(1).mean()
        if self.embedding_decay > 0:
            squares = sum(table.embeddings.weight.square().sum() for table in (self.User, self.Item))
            loss = loss + self.embedding_decay * 0.5 * squares / len(users)
        return loss

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return the embeddings of all users and all items."""
        return self.User.embeddings.weight, self.Item.embeddings.weight

    def embed_histories(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users by `FoldIn`."""
        return self.fold_in.embed(histories)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users."""
        return self.fold_in.score(histories)

    def _of_items(self, items: Tensor | None) -> Tensor:
        return self.Item.embeddings.weight if items is None else self.Item.look_up(items)


def similar_items(
    data: TrainingData, n_neighbors: int, item_graph: Literal["code", "paper"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return each item's neighbours with the largest weights, (I, S) int64, and the weights, (I, S) float32.

    Items with fewer than S neighbours are padded with item 0 at weight 0.
    """
    rows = data.matrix()
    columns = rows.T.tocsr()
    # A row of X'X sums to the total number of interactions of the item's users.
    sums_I = columns @ data.csr().lengths.astype(np.float64)
    if item_graph == "code":
        of_source_I, of_target_I = np.sqrt(sums_I + 1) / np.maximum(sums_I, 1), (sums_I + 1) ** -0.5
    else:
        of_source_I = np.sqrt(sums_I) / np.maximum(sums_I - data.item_counts(), 1)
        of_target_I = np.maximum(sums_I, 1) ** -0.5
    of_source_I, of_target_I = of_source_I.astype(np.float32), of_target_I.astype(np.float32)
    nearest = largest_of_product(
        columns,
        rows,
        n_neighbors,
        weigh=lambda products, rows, columns: products * of_source_I[rows] * of_target_I[columns],
        without_diagonal=item_graph == "paper",
    )
    lengths_I = np.diff(nearest.indptr)
    filled_IS = np.arange(n_neighbors) < lengths_I[:, None]
    neighbors_IS = np.zeros(filled_IS.shape, dtype=np.int64)
    weights_IS = np.zeros(filled_IS.shape, dtype=np.float32)
    neighbors_IS[filled_IS], weights_IS[filled_IS] = nearest.indices, nearest.data
    return neighbors_IS, weights_IS
