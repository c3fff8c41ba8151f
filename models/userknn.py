"""User-based nearest neighbours.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.sparse import SparseMatrix, dense_product, nearest_neighbors
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData


@MODELS.register("userknn")
class UserKNN(ClosedFormArch):
    """Recommend the items of the most similar users, weighted by their similarities.

    With S (U, U) the similarities of users by their common items, each row cut to its `n_neighbors` largest entries,
    the scores are S X.

    *Source:* Herlocker, Konstan, Borchers, Riedl, "An Algorithmic Framework for Performing Collaborative Filtering",
    SIGIR 1999, for ratings; for interactions without, Aiolli, "Efficient Top-N Recommendation for Very Large Scale
    Binary Rated Datasets", RecSys 2013.

    Args:
        n_neighbors: how many similar users are kept for each user.
        measure: "cosine"; "tfidf" for the cosine with more weight on items of few users,
            log(1 + U / the item's users); or "jaccard".
        shrink: added to the denominator of a similarity; favours similarities based on many common items.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        n_neighbors: PositiveInt = 100,
        measure: Literal["cosine", "tfidf", "jaccard"] = "cosine",
        shrink: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.n_neighbors, self.measure, self.shrink = n_neighbors, measure, shrink
        self.rows = data.matrix()
        self.similarities = SparseMatrix(data.n_users, data.n_users)

    def fit(self, data: TrainingData) -> None:
        """Find each user's nearest neighbours."""
        self.similarities.set(
            nearest_neighbors(
                data.matrix(), self.n_neighbors, measure=self.measure, shrink=self.shrink, progress=self.progress
            )
        )

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        scores = dense_product(self.similarities.to_scipy()[users.cpu().numpy()], self.rows)
        return torch.from_numpy(scores).to(users.device)
