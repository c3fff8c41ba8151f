"""Define the weights between items that some models consist of.

Shapes: U users, I items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class ItemWeights:
    """The weights W of a model whose scores are X W + offsets, with X (U, I) the users' interactions.

    Args:
        matrix: W (I, I), from the user's items (rows) to the items that are scored (columns); float32.
        offsets: what is added to the score of each item, float32 (I,); None for nothing.
    """

    matrix: sparse.csr_matrix | np.ndarray[Any, np.dtype[np.float32]]
    offsets: np.ndarray[Any, np.dtype[np.float32]] | None = None

    @property
    def n_entries(self) -> int:
        """How many weights are stored."""
        return int(self.matrix.size if isinstance(self.matrix, np.ndarray) else self.matrix.nnz)
