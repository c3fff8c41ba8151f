"""Score users that were held out of training, by the items that are given of them.

Shapes: B users of a block, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from recrun.architectures.base import RecSysArch
from recrun.config.family import family_of_class, without_new_users
from recrun.data.interactions import CSR
from recrun.errors import ConfigError


def scored_as(model: Any, dataset: Any, known: CSR | None = None) -> Any:
    """Return what scores all users of a data set: the model, or, if users are held out, `HeldOutUsers`.

    A model of sequences scores them itself, by the histories that it is handed.

    Args:
        model: the model.
        dataset: the data set.
        known: the items by which held-out users are scored, U rows; None for those that are given of them.

    Raises:
        ConfigError: users are held out, and the model has vectors of users besides their histories.
    """
    given = dataset.given()
    if given is not None and getattr(model, "personal", False):
        raise ConfigError(without_new_users(type(model).__name__))
    if given is None or family_of_class(type(model)).histories:
        return model
    if known is None:
        return HeldOutUsers(model, given)
    users_N, items_N = known.pairs()
    of_held_out = given.lengths[users_N] > 0
    return HeldOutUsers(model, CSR.from_pairs(users_N[of_held_out], items_N[of_held_out], known.n_rows))


class HeldOutUsers:
    """Ranks as a model does, but scores held-out users as new ones, by the items that are given of them.

    Args:
        model: it scores new users.
        given: the items that are given of each held-out user, U rows, those of other users being empty.
    """

    def __init__(self, model: Any, given: CSR) -> None:
        self._model, self._given = model, given
        self._is_held_out = given.lengths > 0

    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """Return the vectors of all users (U, D) and of all items (I, D); None if there are none."""
        vectors = self._model.vectors()
        if vectors is None or type(self._model).embed_histories is RecSysArch.embed_histories:
            return None
        users_UD, items_ID = vectors[0].clone(), vectors[1]
        held_out = np.flatnonzero(self._is_held_out)
        index = torch.from_numpy(held_out).to(users_UD.device)
        users_UD[index] = self._model.embed_histories(self._given.take(held_out)).to(users_UD)
        return users_UD, items_ID

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for some users (B,)."""
        users_B = users.cpu().numpy()
        is_new_B = self._is_held_out[users_B]
        if not is_new_B.any():
            known: Tensor = self._model.score(users)
            return known
        of_new: Tensor = self._model.score_histories(self._given.take(users_B[is_new_B])).to(users.device)
        if is_new_B.all():
            return of_new
        scores_BI = of_new.new_empty(len(users_B), of_new.size(1))
        is_new = torch.from_numpy(is_new_B).to(users.device)
        scores_BI[is_new] = of_new
        scores_BI[~is_new] = self._model.score(users[~is_new]).to(of_new)
        return scores_BI
