"""User-based nearest neighbours.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.neighbors import Compared, Neighbors, NeighborSettings
from recrun.architectures.sparse import SparseMatrix, dense_product, largest_per_row
from recrun.registry import MODELS

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("userknn", new_users=True)
class UserKNN(ClosedFormArch):
    """Recommend the items of the most similar users, weighted by their similarities.

    With S (U, U) the similarities of users by their common items, from each user t (row, target) to the users s
    (columns, sources) whose items are recommended, the scores are S X. S is cut: by target, the default and the usual
    way, each row keeps its `n_neighbors` largest entries; by source, each column does.

    *Source:* Herlocker, Konstan, Borchers, Riedl, "An Algorithmic Framework for Performing Collaborative Filtering",
    SIGIR 1999, for ratings; for interactions without, Aiolli, "Efficient Top-N Recommendation for Very Large Scale
    Binary Rated Datasets", RecSys 2013; the cut by source as in the code of Anelli et al., "Challenging the Myth of
    Graph Collaborative Filtering", RecSys 2023.

    A new user's row is compared with those of the users in train in the same way. Cut by source, these keep as many
    users as before: a new one counts where it is as similar as the least similar of them.

    Args:
        n_neighbors: how many similar users are kept for each user.
        shrink: added to the denominator of a similarity; favours similarities based on many common items.
        neighbors_of: whose largest similarities are kept: "target", of the user who is recommended to; "source", of the
            user whose items are recommended; "both", first by source, then by target.
        **neighbors: how similar two users are, by their items.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        neighbors_of: Literal["source", "target", "both"] = "target",
        **neighbors: Unpack[NeighborSettings],
    ) -> None:
        super().__init__()
        self.neighbors, self.neighbors_of = Neighbors(**neighbors), neighbors_of
        self.rows = data.matrix()
        self.similarities = SparseMatrix(data.n_users, data.n_users)
        # What new users are compared with, and how similar they must be; both are made for the first of them.
        self._compared: Compared | None = None
        self._least: np.ndarray | None = None

    def fit(self, data: TrainingData) -> None:
        """Find each user's nearest neighbours."""
        if self.neighbors_of == "target":
            self.similarities.set(self.neighbors.nearest(data.matrix(), progress=self.progress))
            return
        weights = self.neighbors.weights(data.matrix(), self.neighbors_of, progress=self.progress)
        self.similarities.set(weights.T.tocsr())

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        scores = dense_product(self.similarities.to_scipy()[users.cpu().numpy()], self.rows)
        return torch.from_numpy(scores).to(users.device)

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users, by their similarities to the users of train."""
        rows = histories.distinct().to_scipy(self.rows.shape[1])
        n_neighbors, n_users = self.neighbors.n_neighbors, self.rows.shape[0]
        n_kept = n_neighbors if self.neighbors_of == "target" else n_users
        if self._compared is None:
            self._compared = self.neighbors.compared(self.rows)
        nearest = self.neighbors.similarities(rows, self._compared, n_kept)
        if self.neighbors_of != "target":
            if self._least is None:
                self._least = self._least_similarities()
            nearest.data[nearest.data < self._least[nearest.indices]] = 0
            nearest = largest_per_row(nearest, n_neighbors if self.neighbors_of == "both" else n_users)
        return torch.from_numpy(dense_product(nearest, self.rows)).to(self.similarities.indptr.device)

    def _least_similarities(self) -> np.ndarray:
        """Return the least similarity that each user of train keeps as a source (U,); 0 for one with few neighbours."""
        nearest = self.neighbors.nearest(self.rows, rows_are="source")
        full = np.flatnonzero(np.diff(nearest.indptr) == self.neighbors.n_neighbors)
        least_U = np.zeros(self.rows.shape[0], dtype=np.float32)
        least_U[full] = nearest[full].data.reshape(len(full), -1).min(1) if len(full) else 0
        return least_U
