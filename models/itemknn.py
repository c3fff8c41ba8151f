"""Item-based nearest neighbours.

Shapes: B users in a batch, U users, I items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.item_weights import ItemWeights
from recrun.architectures.neighbors import End, Neighbors, NeighborSettings
from recrun.architectures.sparse import SparseMatrix
from recrun.errors import ConfigError, Fault
from recrun.registry import MODELS
from recrun.types import Annotated, AppliesIf

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from recrun.data.interactions import CSR, TrainingData


@MODELS.register("itemknn", new_users=True)
class ItemKNN(ClosedFormArch):
    """Recommend the items most similar to the user's items.

    With S (I, I) the similarities of items by their common users, from the user's items (rows, sources) to the scored
    items (columns, targets), cut to the largest entries, the scores are X S; with the share m (I,) of train's
    users that each item has, they are (X - 1 m') S + 1 m' if `subtract_item_means`.

    *Source:* Sarwar, Karypis, Konstan, Riedl, "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001,
    section 3; Deshpande, Karypis, "Item-Based Top-N Recommendation Algorithms", ACM TOIS 2004, for the cut by source
    and the normalization by source; the shrink term as in Bell, Koren, "Improved Neighborhood-based Collaborative
    Filtering", KDD Cup 2007; the normalization by target and the means as in BARS (Zhu et al., SIGIR 2022).

    Args:
        n_neighbors: how many similar items are kept for each item.
        shrink: added to the denominator of a similarity; favours similarities based on many common users.
        neighbors_of: whose largest similarities are kept: "source", of the user's item; "target", of the item that is
            scored; "both", first by source, then (after normalizing, if asked for) by target.
        normalize_neighbors: divide the kept similarities of each source, or of each target, by their sum.
        normalize_over: "source", the default, or "target"; with `normalize_neighbors` only.
        subtract_item_means: subtract each item's share of users from the interactions, and add it to its score.
        **neighbors: how similar two items are, by their users.
    """

    offsets: Tensor

    def __init__(
        self,
        data: TrainingData,
        *,
        neighbors_of: Literal["source", "target", "both"] = "target",
        normalize_neighbors: bool = False,
        normalize_over: Annotated[
            Literal["source", "target"] | None, AppliesIf("normalize_neighbors", "normalize_neighbors is false")
        ] = None,
        subtract_item_means: bool = False,
        **neighbors: Unpack[NeighborSettings],
    ) -> None:
        super().__init__()
        self.neighbors, self.neighbors_of = Neighbors(**neighbors), neighbors_of
        if normalize_over is not None and not normalize_neighbors:
            message = (
                f"has no effect without normalize_neighbors; expected null, or set it to true, found {normalize_over}"
            )
            raise ConfigError(Fault(message, key="normalize_over"))
        self.normalize: End | None = (normalize_over or "source") if normalize_neighbors else None
        self.rows = data.csr()
        self.similarities = SparseMatrix(data.n_items, data.n_items)
        self.subtracts_means = subtract_item_means
        if subtract_item_means:
            self.register_buffer("offsets", torch.zeros(data.n_items))

    def fit(self, data: TrainingData) -> None:
        """Find each item's nearest neighbours."""
        rows = data.matrix()
        rows = rows[np.diff(rows.indptr) > 0]  # users of other parts alone count nowhere
        weights = self.neighbors.weights(
            rows.T.tocsr(), self.neighbors_of, normalize=self.normalize, progress=self.progress
        )
        self.similarities.set(weights)
        if self.subtracts_means:
            means = data.item_counts() / max(1, rows.shape[0])
            self.offsets.copy_(torch.from_numpy(means - weights.T.astype(np.float64) @ means))

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self.score_histories(self.rows.take(users.cpu().numpy()))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        scores = self.similarities.sum_rows(histories.distinct())
        return scores.add_(self.offsets) if self.subtracts_means else scores

    def item_weights(self) -> ItemWeights:
        """Return the similarities, from a user's items (rows) to the scored items (columns), and the offsets."""
        offsets = self.offsets.cpu().numpy() if self.subtracts_means else None
        return ItemWeights(self.similarities.to_scipy(), offsets)
