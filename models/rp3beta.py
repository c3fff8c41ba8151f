"""RP3beta: three-step random walks on the graph of users and items.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.item_weights import ItemWeights
from recrun.architectures.neighbors import directed_weights
from recrun.architectures.sparse import SparseMatrix, largest_of_product, scale_rows
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("rp3beta", new_users=True)
class RP3Beta(ClosedFormArch):
    """Score items by the probability of a three-step random walk from the user, penalised by item popularity.

    The walk goes from item i to item j with weight w_ij = sum over users v of (p_iv p_vj)^alpha / (users of j)^beta,
    where p_iv = 1 / (users of i) and p_vj = 1 / (items of v). The scores are X W with W cut to its largest entries; the
    first step has the same probability for all of a user's items.

    *Source:* Paudel, Christoffel, Newell, Bernstein, "Updatable, Accurate, Diverse, and Scalable Recommendations for
    Interactive Applications", ACM TiiS 2017; cutting twice and normalizing as in the code of Ferrari Dacrema, Boglio,
    Cremonesi, Jannach, "A Troubling Analysis of Reproducibility and Progress in Recommender Systems Research", ACM TOIS
    2021.

    Args:
        n_neighbors: how many of an item's largest weights are kept.
        alpha: exponent of the transition probabilities.
        beta: exponent of the popularity that scores are divided by.
        neighbors_of: whose largest weights are kept: "source", of the item that a walk leaves; "target", of the item
            that it reaches; "both", first by source, then (after normalizing, if asked for) by target.
        normalize_neighbors: divide the kept weights from each item by their sum.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        n_neighbors: PositiveInt = 100,
        alpha: NonNegativeFloat = 1.0,
        beta: NonNegativeFloat = 0.5,
        neighbors_of: Literal["source", "target", "both"] = "source",
        normalize_neighbors: bool = False,
    ) -> None:
        super().__init__()
        self.n_neighbors, self.alpha, self.beta = n_neighbors, alpha, beta
        self.neighbors_of, self.normalize_neighbors = neighbors_of, normalize_neighbors
        self.rows = data.csr()
        self.weights = SparseMatrix(data.n_items, data.n_items)

    def fit(self, data: TrainingData) -> None:
        """Walk two steps from every item, and keep the largest weights."""
        rows, n_users = data.matrix(), data.item_counts().clip(1).astype(np.float64)
        probabilities = scale_rows(rows, data.csr().lengths.clip(1).astype(np.float64) ** -self.alpha)
        of_source, of_target = ((n_users**-exponent).astype(np.float32) for exponent in (self.alpha, self.beta))
        if self.neighbors_of == "target":  # the rows are then the items that walks reach
            of_source, of_target = of_target, of_source
        nearest = largest_of_product(
            rows.T.tocsr(),
            probabilities,
            self.n_neighbors,
            weigh=lambda products, rows, columns: products * of_source[rows] * of_target[columns],
            progress=self.progress,
        )
        normalize: Literal["source"] | None = "source" if self.normalize_neighbors else None
        self.weights.set(directed_weights(nearest, self.n_neighbors, self.neighbors_of, normalize=normalize))

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self.score_histories(self.rows.take(users.cpu().numpy()))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        return self.weights.sum_rows(histories.distinct())

    def item_weights(self) -> ItemWeights:
        """Return the weights, from a user's items (rows) to the scored items (columns)."""
        return ItemWeights(self.weights.to_scipy())
