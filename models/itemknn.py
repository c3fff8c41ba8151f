"""Item-based nearest neighbours.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.sparse import SparseMatrix, dense_product, item_weights, nearest_neighbors
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("itemknn")
class ItemKNN(ClosedFormArch):
    """Recommend the items most similar to the user's items.

    With S (I, I) the similarities of items by their common users, cut to the largest entries, the scores are X S.

    *Source:* Sarwar, Karypis, Konstan, Riedl, "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001,
    section 3; Deshpande, Karypis, "Item-Based Top-N Recommendation Algorithms", ACM TOIS 2004, for the cut by source
    and the normalization; the shrink term as in Bell, Koren, "Improved Neighborhood-based Collaborative
    Filtering", KDD Cup 2007.

    Args:
        n_neighbors: how many similar items are kept for each item.
        measure: "cosine"; "tfidf" for the cosine with more weight on users of few items,
            log(1 + I / the user's items); or "jaccard".
        shrink: added to the denominator of a similarity; favours similarities based on many common users.
        neighbors_of: whose largest similarities are kept: "source", of the user's item; "target", of the item that is
            scored; "both", first by source, then (after normalizing, if asked for) by target.
        normalize_neighbors: divide the kept similarities of each source item by their sum.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        n_neighbors: PositiveInt = 100,
        measure: Literal["cosine", "tfidf", "jaccard"] = "cosine",
        shrink: NonNegativeFloat = 0.0,
        neighbors_of: Literal["source", "target", "both"] = "target",
        normalize_neighbors: bool = False,
    ) -> None:
        super().__init__()
        self.n_neighbors, self.measure, self.shrink = n_neighbors, measure, shrink
        self.neighbors_of, self.normalize_neighbors = neighbors_of, normalize_neighbors
        self.rows = data.matrix()
        self.similarities = SparseMatrix(data.n_items, data.n_items)

    def fit(self, data: TrainingData) -> None:
        """Find each item's nearest neighbours."""
        nearest = nearest_neighbors(
            data.matrix().T.tocsr(),
            self.n_neighbors,
            measure=self.measure,
            shrink=self.shrink,
            progress=self.progress,
        )
        similarities = item_weights(nearest, self.n_neighbors, self.neighbors_of, normalize=self.normalize_neighbors)
        self.similarities.set(similarities)

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        scores = dense_product(self.rows[users.cpu().numpy()], self.similarities.to_scipy())
        return torch.from_numpy(scores).to(users.device)
