"""Embed new users from their items, while the vectors of all items stay as they were trained.

Shapes: B new users, I items, D embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.architectures.least_squares import Columns, fit_pairs
from recrun.architectures.remembered import Remembered

if TYPE_CHECKING:
    from recrun.architectures.base import RecSysArch
    from recrun.data.interactions import CSR

_RIDGE: Final = 0.03
"""Weight of a vector's squared norm, as a multiple of the items' mean squared norm: at it, most models rank best."""

_SMALLEST: Final = 1e-12
"""The least ridge, for items whose vectors are all 0."""


class ItemSide(NamedTuple):
    """What all new users share."""

    vectors_ID: Tensor
    centred: Columns
    """The vectors without their mean, with their covariance."""
    ridge: float


class FoldIn(nn.Module):
    """Gives a new user the vector that scores the user's own items above all items, by least squares.

    With q_i the vectors of items, S the user's items, and i drawn from S and j from all items, the vector w minimises
    the mean of l(w (q_i - q_j)) + ridge / 2 |w|², where l(x) = -x / 2 + x² / 8 is the second-order expansion of BPR's
    loss log(1 + exp(-x)) at 0, without its constant. That is a linear equation in w. The ridge is 0.03 times the mean
    of |q_i|², so that the ranking does not depend on how long the vectors are.

    *Source:* the loss is that of Rendle et al., "BPR", UAI 2009, over all pairs; that only the user's side is fitted,
    and by least squares, is as in Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM
    2008, equation 4. `benchmarks/fold_in.py` measures how near its rankings are to those of trained users.

    The vectors of the items are kept until the model is trained again, since those of graph models take long.

    Args:
        model: its `vectors()` are of users and items whose products are the scores.
        unit: whether users' vectors have unit length, because scores are cosines.
    """

    def __init__(self, model: RecSysArch, *, unit: bool = False) -> None:
        super().__init__()
        self._of = (model,)  # in a tuple: the model holds this, and is not a part of it
        self._unit = unit
        self._remembered: Remembered[ItemSide] = Remembered()

    @torch.no_grad()
    def embed(self, histories: CSR) -> Tensor:
        """Return the vectors (B, D) of new users with the items of these rows; 0 for one without items."""
        return self._embed(histories, self._item_side())

    @torch.no_grad()
    def score(self, histories: CSR) -> Tensor:
        """Return the scores (B, I) of all items for new users with the items of these rows."""
        side = self._item_side()
        return self._embed(histories, side) @ side.vectors_ID.T

    def _embed(self, histories: CSR, side: ItemSide) -> Tensor:
        users_BD = fit_pairs(histories.distinct(), side.centred, side.ridge)
        return F.normalize(users_BD, dim=-1) if self._unit else users_BD

    def _item_side(self) -> ItemSide:
        side: ItemSide = self._remembered(self._of[0].parameters(), self._compute_items)
        return side

    def _compute_items(self) -> ItemSide:
        vectors = self._of[0].vectors()
        assert vectors is not None
        items_ID = vectors[1].detach()
        centred_ID = items_ID - items_ID.mean(0)
        covariance_DD = centred_ID.T @ centred_ID / len(items_ID)
        ridge = _RIDGE * float(items_ID.square().sum()) / len(items_ID)
        return ItemSide(items_ID, Columns.of(centred_ID, covariance_DD), max(ridge, _SMALLEST))
