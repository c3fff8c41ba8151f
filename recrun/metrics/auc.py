"""Compute each user's area under the ROC curve exactly: how often a relevant item outscores another, ties half.

Shapes: B users, W items of a tile, R relevant items of the user that has most of them.

Tiles arrive one after the other. Each is sorted once, and the relevant items' scores are looked up in it. All sums are
of whole numbers, so the result does not depend on the size of the tiles.

A score of -inf rules an item out: as another item it is in no pair, and as a relevant one it is below all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


def twice_below(scores_BW: Tensor, targets_BR: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each target twice the number of scores in its row below it, plus the number of scores equal to it.

    Scores of -inf do not count.

    Args:
        scores_BW: (B, W).
        targets_BR: scores to compare, (B, R), of the same type.

    Returns:
        These numbers, int64 (B, R), and how many scores of each row count, int64 (B,).
    """
    if scores_BW.device.type == "cpu":
        sorted_BW = torch.from_numpy(np.sort(scores_BW.numpy(), axis=1))  # vectorised, unlike torch's
    else:
        sorted_BW = torch.sort(scores_BW, dim=1).values
    targets_BR = targets_BR.contiguous()
    lowest_B1 = sorted_BW.new_full((len(sorted_BW), 1), -torch.inf)
    ruled_out_B1 = torch.searchsorted(sorted_BW, lowest_B1, right=True)
    below_BR = torch.maximum(torch.searchsorted(sorted_BW, targets_BR), ruled_out_B1) - ruled_out_B1
    not_above_BR = torch.searchsorted(sorted_BW, targets_BR, right=True) - ruled_out_B1
    return below_BR + not_above_BR, scores_BW.shape[1] - ruled_out_B1[:, 0]


def wins_and_others(scores_BN: Tensor, relevant_BN: Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the pairs (relevant, other) in order plus half the ties, and the number of others, for dense scores.

    Args:
        scores_BN: (B, N), free of NaN.
        relevant_BN: bool (B, N).

    Returns:
        float64 (B,) and int64 (B,), on the CPU.
    """
    twice_BN, n_counted_B = twice_below(scores_BN, scores_BN)
    n_ranked_B = (relevant_BN & (scores_BN > -torch.inf)).sum(dim=1)
    # Among themselves n relevant items win n² / 2, each item's tie with itself included.
    twice_B = torch.where(relevant_BN, twice_BN, 0).sum(dim=1) - n_ranked_B**2
    return np.asarray(twice_B.cpu().numpy() / 2), np.asarray((n_counted_B - n_ranked_B).cpu().numpy())


class AUCCounter:
    """Count the wins of each user's relevant items over the others.

    All tiles go to `look_up` first, then all of them to `count`.

    Args:
        rows_N: row of each relevant item, ascending, (N,).
        items_N: the items, (N,); none of them masked.
        n_rows: B.
        scores: a tensor of the same type and on the same device as the tiles.
    """

    def __init__(self, rows_N: Array, items_N: Array, n_rows: int, scores: Tensor) -> None:
        self.n_relevant_B = np.bincount(rows_N, minlength=n_rows)
        starts_B = np.cumsum(self.n_relevant_B) - self.n_relevant_B
        self._rows_N, self._items_N = rows_N, items_N
        self._positions_N = np.arange(len(rows_N)) - starts_B[rows_N]
        shape = (n_rows, int(self.n_relevant_B.max(initial=1)))
        self._targets_BR = scores.new_zeros(shape)
        counted_BR = np.zeros(shape, dtype=bool)
        counted_BR[rows_N, self._positions_N] = True
        self._counted_BR = torch.from_numpy(counted_BR).to(scores.device)
        self._twice_B = torch.zeros(n_rows, dtype=torch.int64, device=scores.device)
        self._n_counted_B = torch.zeros(n_rows, dtype=torch.int64, device=scores.device)

    def look_up(self, scores_BW: Tensor, first: int) -> None:
        """Store the scores of the relevant items among `first ... first + W - 1`."""
        inside_N = (self._items_N >= first) & (self._items_N < first + scores_BW.shape[1])
        indices = (self._rows_N[inside_N], self._positions_N[inside_N], self._items_N[inside_N] - first)
        rows, positions, columns = (torch.from_numpy(index).to(scores_BW.device) for index in indices)
        self._targets_BR[rows, positions] = scores_BW[rows, columns]

    def count(self, scores_BW: Tensor) -> None:
        """Add the wins over a tile's items, (B, W), free of NaN; masked ones hold -inf."""
        twice_BR, n_counted_B = twice_below(scores_BW, self._targets_BR)
        self._twice_B += torch.where(self._counted_BR, twice_BR, 0).sum(dim=1)
        self._n_counted_B += n_counted_B

    def wins(self) -> NDArray[np.float64]:
        """Return the pairs (relevant, other) in order plus half the ties, (B,)."""
        return np.asarray((self._twice_B - self._n_ranked_B() ** 2).cpu().numpy() / 2)

    def n_others(self) -> NDArray[np.int64]:
        """Return the number of items that are neither relevant nor ruled out, (B,)."""
        return np.asarray((self._n_counted_B - self._n_ranked_B()).cpu().numpy())

    def _n_ranked_B(self) -> Tensor:
        """Return how many relevant items are not ruled out by their score."""
        return (self._counted_BR & (self._targets_BR > -torch.inf)).sum(dim=1)
