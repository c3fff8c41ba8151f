"""SLIM and fsSLIM: sparse linear item-to-item models.

Shapes: B users in a batch, U users, I items, J items in a block that is fitted at once, K neighbours of an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.item_weights import ItemWeights
from recrun.architectures.neighbors import Neighbors
from recrun.architectures.sparse import SparseMatrix
from recrun.memory import require_memory
from recrun.registry import MODELS
from recrun.types import NonNegativeFloat, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    from recrun.data.interactions import CSR, TrainingData

_BLOCK_NUMBERS: Final = 1 << 22
"""Most entries that the Gram matrices, or the weights, of one block may have."""
_NEVER: Final = np.float32(-1)
"""Gram entry of a pair that must get no weight: coordinate descent never leaves 0 there."""

Problem = tuple[Tensor, Tensor, Any]
"""Gram matrices of each item's K candidates (J, K, K), products with the item (J, K), neighbours' positions."""


@MODELS.register("slim", new_users=True)
class SLIM(ClosedFormArch):
    """Predict each item from its nearest neighbours by sparse, non-negative linear regression.

    Item j's weights w >= 0 (K,) minimise |x_j - X w|^2 / 2 + reg_weight / 2 |w|^2 + l1_weight |w|_1 over its
    `n_neighbors` nearest items by the cosine, never itself. With all other items as neighbours this is SLIM, with fewer
    it is fsSLIM. The scores are X W. Solved by coordinate descent for many items at once.

    *Source:* Ning, Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems", ICDM 2011, the
    models SLIM and fsSLIM.

    Args:
        n_neighbors: how many items an item may be reconstructed from; memory and time grow with its square.
        reg_weight: weight of the squared L2 norm.
        l1_weight: weight of the L1 norm, which makes the weights sparse.
        n_iterations: most passes of coordinate descent over the weights.
        tolerance: stop when no weight changed by more than this in a pass. A run is warned if that is not reached in
            `n_iterations`; 0 asks for all of them.
    """

    def __init__(
        self,
        data: TrainingData,
        *,
        n_neighbors: PositiveInt = 100,
        reg_weight: PositiveFloat = 10.0,
        l1_weight: NonNegativeFloat = 1.0,
        n_iterations: PositiveInt = 100,
        tolerance: NonNegativeFloat = 1e-3,
    ) -> None:
        super().__init__()
        self.n_neighbors = min(n_neighbors, max(1, data.n_items - 1))
        self.reg_weight, self.l1_weight = reg_weight, l1_weight
        self.n_iterations, self.tolerance = n_iterations, tolerance
        self.rows = data.csr()
        self.weights = SparseMatrix(data.n_items, data.n_items)

    def fit(self, data: TrainingData) -> None:
        """Choose each item's neighbours, and fit their weights block by block."""
        columns = data.matrix().T.tocsr()
        gram = (columns @ columns.T).tocsr()
        gram.sort_indices()
        neighbors = Neighbors(self.n_neighbors).nearest(columns)
        # With most items as neighbours, one Gram matrix for all of them is less work than one for each item.
        regressions = _Shared(gram) if 2 * self.n_neighbors > data.n_items else _Separate(gram, self.n_neighbors)
        # Items with similar numbers of neighbours share a block, so that little of it is padding.
        order = np.argsort(-np.diff(neighbors.indptr), kind="stable")
        blocks = []
        self._last_changes: list[Tensor] = []  # (J,) of each block
        for start in range(0, data.n_items, regressions.n_targets):
            targets = order[start : start + regressions.n_targets]
            blocks.append(self._fit_block(regressions, neighbors[targets], targets))
            if self.progress is not None:
                self.progress(min(start + regressions.n_targets, data.n_items), data.n_items)
        weights = sparse.vstack(blocks, format="csr")[np.argsort(order)]
        self.weights.set(weights.T.tocsr())
        self.notes = self._warning(data.n_items)

    def _warning(self, n_items: int) -> list[str]:
        """Return what to tell of the items whose weights still changed in the last pass."""
        changes = torch.cat(self._last_changes)
        unfinished = changes[changes > self.tolerance]
        if not len(unfinished) or self.tolerance == 0:
            return []
        return [
            f"slim stopped before its tolerance: after {self.n_iterations} passes the weights of "
            f"{len(unfinished):,} of {n_items:,} items still changed by up to {float(unfinished.max()):.2g} a pass, "
            f"which is more than {self.tolerance:g}; raise n_iterations or tolerance"
        ]

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for users (B,)."""
        return self.score_histories(self.rows.take(users.cpu().numpy()))

    def score_histories(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for rows (B, I), given as their items."""
        return self.weights.sum_rows(histories.distinct())

    def item_weights(self) -> ItemWeights:
        """Return the weights, from a user's items (rows) to the scored items (columns)."""
        return ItemWeights(self.weights.to_scipy())

    def _fit_block(self, regressions: _Shared | _Separate, neighbors: sparse.csr_matrix, targets: np.ndarray) -> Any:
        """Return the weights (J, I) of the items `targets` (J,) from their neighbours (J, I)."""
        n_shared_JKK, with_target_JK, positions = regressions(neighbors, targets)
        fitted = neighbors.copy()
        fitted.data = self._descend(n_shared_JKK, with_target_JK).numpy()[positions]
        fitted.eliminate_zeros()
        return fitted

    def _descend(self, n_shared_JKK: Tensor, with_target_JK: Tensor) -> Tensor:
        """Return the weights (J, K) by cyclic coordinate descent, one coordinate of all J items at a time."""
        weights_KJ = torch.zeros_like(with_target_JK).T.contiguous()
        gains_JK = with_target_JK  # products with the residual, X' (x_j - X w)
        scales_KJ = n_shared_JKK.diagonal(dim1=1, dim2=2).T.contiguous()
        divisors_KJ = scales_KJ + self.reg_weight
        for _ in range(self.n_iterations):
            before_KJ = weights_KJ.clone()
            for coordinate, weights_J in enumerate(weights_KJ):
                change_J = torch.addcmul(gains_JK[:, coordinate], scales_KJ[coordinate], weights_J)
                change_J.sub_(self.l1_weight).clamp_(min=0).div_(divisors_KJ[coordinate]).sub_(weights_J)
                weights_J += change_J
                gains_JK.addcmul_(n_shared_JKK[:, coordinate], change_J[:, None], value=-1)
            changes_J = (weights_KJ - before_KJ).abs().amax(0)
            if float(changes_J.max()) <= self.tolerance:
                break
        self._last_changes.append(changes_J)
        return weights_KJ.T


class _Separate:
    """Set up the regressions of some items with one Gram matrix per item, of its neighbours only."""

    def __init__(self, gram: sparse.csr_matrix, n_neighbors: int) -> None:
        self.gram = gram
        self.n_targets = max(1, _BLOCK_NUMBERS // n_neighbors**2)

    def __call__(self, neighbors: sparse.csr_matrix, targets: np.ndarray) -> Problem:
        lengths = np.diff(neighbors.indptr)
        real_JK = np.arange(max(1, lengths.max())) < lengths[:, None]
        items_JK = np.zeros(real_JK.shape, dtype=np.int64)
        items_JK[real_JK] = neighbors.indices
        with_target_JK = np.where(real_JK, self._entries(items_JK, targets[:, None]), _NEVER)
        n_shared_JKK = self._entries(items_JK[:, :, None], items_JK[:, None, :])
        return torch.from_numpy(n_shared_JKK), torch.from_numpy(with_target_JK), real_JK

    def _entries(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return the entries of the Gram matrix at rows and columns, which are broadcast against each other."""
        rows, columns = np.broadcast_arrays(rows, columns)
        # Copies: scipy makes its index arrays writeable, which numpy 1 warns of where they are broadcast ones.
        entries = np.asarray(self.gram[rows.flatten(), columns.flatten()]).reshape(rows.shape)
        return entries.astype(np.float32, copy=False)


class _Shared:
    """Set up the regressions of some items with one shared Gram matrix of all items (K = I)."""

    def __init__(self, gram: sparse.csr_matrix) -> None:
        n_items = gram.shape[0]
        require_memory(4 * n_items**2, f"slim with most of {n_items:,} items as neighbors", "lower n_neighbors")
        self.gram = gram.toarray()
        self.n_targets = max(1, _BLOCK_NUMBERS // n_items)

    def __call__(self, neighbors: sparse.csr_matrix, targets: np.ndarray) -> Problem:
        rows = np.repeat(np.arange(len(targets)), np.diff(neighbors.indptr))
        with_target_JI = np.full(neighbors.shape, _NEVER, dtype=np.float32)
        with_target_JI[rows, neighbors.indices] = self.gram[targets[rows], neighbors.indices]
        n_shared_JII = torch.from_numpy(self.gram).expand(len(targets), -1, -1)
        return n_shared_JII, torch.from_numpy(with_target_JI), (rows, neighbors.indices)
