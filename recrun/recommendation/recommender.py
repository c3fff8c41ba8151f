"""Recommend items, and find similar ones, with a trained model.

Everything here is by internal ids; `Recommender.users` and `Recommender.items` translate from and to the original ones.

Shapes: B users, U all users, I items, K ranks, D length of the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from recrun.architectures.base import RecSysArch
from recrun.config.family import family_of_class
from recrun.data.interactions import CSR, join, union
from recrun.data.original_ids import OriginalIds
from recrun.errors import ConfigError
from recrun.evaluation.held_out_users import scored_as
from recrun.evaluation.score_tiles import ProductScores, Scores, scores_of
from recrun.evaluation.top_lists import Lists, top_lists

Ints = NDArray[np.int64]
AsOf = Literal["valid", "test", "end"]

AS_OF: Final[tuple[AsOf, ...]] = ("valid", "test", "end")
"""The moments to recommend at: before valid, before test, or after all interactions of the data."""


class Recommender:
    """Recommends items with a trained model, from what is known of its users at some moment.

    Args:
        model: the trained model; it is put into evaluation mode.
        base: its data set.
        as_of: "valid" knows train, "test" train and valid, as the evaluations on these splits do; "end" knows all
            interactions.
        device: where to score and rank.
        memory_mb: memory to use besides the model and the data, in MB.

    Attributes:
        users: the original ids of users.
        items: those of items.
        seen: each user's known items, ascending, which are usually not recommended.

    Raises:
        ConfigError: the model predicts labels and ranks no items.
    """

    def __init__(
        self,
        model: Any,
        base: Any,
        *,
        as_of: AsOf = "test",
        device: torch.device | str = "cpu",
        memory_mb: int = 512,
    ) -> None:
        family = family_of_class(type(model))
        if family.evaluation != "ranking":
            raise ConfigError(f"{type(model).__name__} predicts labels; it has no items to recommend")
        self.model, self.base, self.as_of = model.eval(), base, as_of
        self.device, self.memory_mb = torch.device(device), memory_mb
        self.n_users, self.n_items = base.n_users, base.n_items
        self.users = OriginalIds(base.user_ids, "user")
        self.items = OriginalIds(base.item_ids, "item")
        self.seen: CSR = _seen(base, as_of)
        self._scored = scored_as(self.model, base, self.seen if as_of == "end" else None)
        if family.histories:
            model.take_histories(_histories(base, as_of))

    @cached_property
    def scores(self) -> Scores:
        """The scores of all items for the users of the data; vectors are computed once.

        At the end, a model that scores users by their rows is given their rows of all parts.
        """
        own = getattr(type(self.model), "score_histories", RecSysArch.score_histories)
        scores_rows = own is not RecSysArch.score_histories
        if self.as_of == "end" and scores_rows and self._vectors is None:
            return self.scores_of_new(self.seen)
        if self._vectors is not None:
            return ProductScores(*self._vectors, self.device)
        return self._scores_of(self._scored, self.n_users)

    @cached_property
    def item_vectors(self) -> torch.Tensor | None:
        """The vectors (I, D) whose products with those of users are the scores; None if there are none."""
        return None if self._vectors is None else self._vectors[1]

    @cached_property
    def _vectors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        with torch.no_grad():
            found: tuple[torch.Tensor, torch.Tensor] | None = self._scored.vectors()
        return found

    def recommend(
        self, users: Ints, k: int, *, excluded: CSR | None = None, barred: Ints | None = None
    ) -> Iterator[Lists]:
        """Yield the k best items of users of the data, block by block.

        Args:
            users: their internal ids.
            k: the most items of a list.
            excluded: items not to recommend to each user, U rows, such as `seen`; None for no such items.
            barred: items not to recommend to anyone, ascending.
        """
        yield from self._lists(self.scores, users, k, excluded, barred)

    def recommend_to_new(
        self, histories: CSR, k: int, *, excluded: CSR | None = None, barred: Ints | None = None
    ) -> Iterator[Lists]:
        """Yield the k best items of new users by their histories; lists name users by their rows.

        Args:
            histories: the items of each new user in the order of time, B rows of internal ids.
            k: the most items of a list.
            excluded: items not to recommend to each, B rows, such as `histories` itself; None for no such items.
            barred: items not to recommend to anyone, ascending.

        Raises:
            ConfigError: the model cannot score new users.
        """
        yield from self._lists(self.scores_of_new(histories), np.arange(histories.n_rows), k, excluded, barred)

    def scores_of_new(self, histories: CSR) -> Scores:
        """Return the scores of all items for new users, by their histories, as in `recommend_to_new`."""
        return self._scores_of(NewUsers(self.model, histories, self.item_vectors), histories.n_rows)

    def similarity(self, kind: Literal["item", "user"]) -> str:
        """Return what items, or users, are compared by: "cosine" of vectors, or "score", as in `similar_items`."""
        return "cosine" if kind == "user" or self.item_vectors is not None else "score"

    def similar_items(self, items: Ints, k: int) -> Iterator[Lists]:
        """Yield the k items most similar to each of some items, by the cosine of their vectors; lists name the items.

        Where the model has no vectors of items, but scores new users by their histories, the similarity is the score
        of an item for a user who has interacted with the other item only.

        Raises:
            ConfigError: the model can do neither.
        """
        if self.item_similarities is None:
            itself = CSR.from_pairs(np.arange(len(items)), items, len(items))
            yield from self.recommend_to_new(itself, k, excluded=itself)
            return
        yield from self._lists(self.item_similarities, items, k, _diagonal(self.n_items), None)

    @cached_property
    def item_similarities(self) -> Scores | None:
        """The cosines of all pairs of items, as scores; None if the model has no vectors of items."""
        return None if self.item_vectors is None else self._cosines(self.item_vectors)

    @cached_property
    def user_similarities(self) -> Scores:
        """The cosines of all pairs of users, as scores.

        Raises:
            ConfigError: the model has no vectors of users.
        """
        if self._vectors is None:
            name = type(self.model).__name__
            raise ConfigError(f"{name} has no vectors of users, so it cannot say which users are similar")
        return self._cosines(self._vectors[0])

    def similar_users(self, users: Ints, k: int) -> Iterator[Lists]:
        """Yield the k users most similar to each of some users, by the cosine of their vectors; lists name the users.

        Raises:
            ConfigError: the model has no vectors of users.
        """
        itself = _diagonal(self.n_users)
        yield from self._lists(self.user_similarities, users, k, itself, None, n_ranked=self.n_users)

    def _cosines(self, vectors_ND: torch.Tensor) -> Scores:
        if vectors_ND.shape[1] == 1:  # their cosines are all 1
            name = type(self.model).__name__
            raise ConfigError(f"{name} knows a single number of each item and user, by which none are similar")
        unit_ND = F.normalize(vectors_ND.detach().double(), dim=1)
        return ProductScores(unit_ND, unit_ND, self.device)

    def _scores_of(self, model: Any, n_users: int) -> Scores:
        with torch.no_grad():
            return scores_of(model, n_users, self.n_items, self.device, self.memory_mb << 20)

    def _lists(
        self,
        scores: Scores,
        users: Ints,
        k: int,
        excluded: CSR | None,
        barred: Ints | None,
        n_ranked: int | None = None,
    ) -> Iterator[Lists]:
        return top_lists(
            scores,
            users,
            n_items=self.n_items if n_ranked is None else n_ranked,
            k=k,
            excluded=excluded,
            barred=barred,
            device=self.device,
            memory_mb=self.memory_mb,
        )


class NewUsers:
    """New users as a model that ranks: user b is the one with history b.

    Args:
        model: the trained model.
        histories: B rows.
        item_vectors: the vectors (I, D) of the model; None if it has none.
    """

    def __init__(self, model: Any, histories: CSR, item_vectors: torch.Tensor | None) -> None:
        self._model, self._histories, self._items_ID = model, histories, item_vectors

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the vectors of the new users (B, D) and of items (I, D), or None if the model has none."""
        if self._items_ID is None:
            return None
        return self._model.embed_histories(self._histories), self._items_ID

    def score(self, users: torch.Tensor) -> torch.Tensor:
        """Return the scores (b, I) of some of the new users (b,)."""
        found: torch.Tensor = self._model.score_histories(self._histories.take(users.cpu().numpy()))
        return found


def _diagonal(n_rows: int) -> CSR:
    """Return rows of which each holds its own number."""
    return CSR(np.arange(n_rows + 1), np.arange(n_rows, dtype=np.int32))


def _seen(base: Any, as_of: AsOf) -> CSR:
    seen: CSR = base.seen("test" if as_of == "end" else as_of)
    return union(union(seen, base.csr("valid")), base.csr("test")) if as_of == "end" else seen


def _histories(base: Any, as_of: AsOf) -> CSR:
    if as_of != "end":
        found: CSR = base.histories(as_of)
        return found
    names = ("train", "valid", "test") if base.given() is None else ("train", "given", "valid", "test")
    return join([base.interactions(part) for part in names]).histories(base.n_users)
