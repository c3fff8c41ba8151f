"""Score users that training never saw, by the items that are given of them.

Shapes: B users of a block, U users, I items, D embedding.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recrun.architectures.base import RecSysArch
from recrun.data.interactions import CSR


class NewUsers:
    """Stands for a model whose users are new ones, wherever a model is ranked by.

    Args:
        model: it scores new users.
        given: the items that each user has interacted with, in the order of time; U rows.
    """

    def __init__(self, model: Any, given: CSR) -> None:
        self._model, self._given = model, given

    def vectors(self) -> tuple[Tensor, Tensor] | None:
        """Return the vectors of the users (U, D), from their items, and of all items (I, D); None if there are none."""
        if type(self._model).embed_histories is RecSysArch.embed_histories:
            return None
        vectors: tuple[Tensor, Tensor] = self._model.vectors()
        return self._model.embed_histories(self._given), vectors[1]

    def score(self, users: Tensor) -> Tensor:
        """Return the scores (B, I) of all items for some of the users (B,)."""
        scores: Tensor = self._model.score_histories(self._given.take(users.cpu().numpy()))
        return scores.to(users.device)


def scored_as(model: Any, dataset: Any) -> Any:
    """Return what scores the users of valid and test: the model, or where they are held out, the model by their items.

    Args:
        model: the model.
        dataset: the data set.
    """
    given = dataset.given()
    return model if given is None else NewUsers(model, given)
