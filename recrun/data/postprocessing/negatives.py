"""Implement `negatives_for_train_` and `negatives_for_eval_`: append a user's unseen items to each row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np

from recrun.data.interactions import union
from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunk_rows, chunks, count_rows
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.sampling.negatives import NegativeSampler, UniformNegatives
from recrun.data.sampling.unseen import UnseenItems, refuse_short_of
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator

Draw = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class _Negatives(PostProcessor):
    """Widens the item column from (B, 1) to (B, 1 + K)."""

    _n_negatives: int

    @abstractmethod
    def _drawer(self, mode: Mode, seed: int, epoch: int) -> tuple[Draw, np.random.Generator]:
        """Return the function that draws (B, K) negatives for users (B,) in this mode, and its random generator."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        draw, rng = self._drawer(mode, seed, epoch)
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            if batch[item].shape[1] != 1:
                raise DataError(f"the item column already holds {batch[item].shape[1] - 1} negatives")
            for start, stop in chunks(count_rows(batch), chunk_rows(1 + self._n_negatives)):
                piece = {name: column[start:stop] for name, column in batch.items()}
                negatives = draw(piece[user][:, 0], rng).astype(np.int64)
                yield piece | {item: np.concatenate((piece[item], negatives), axis=1)}

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(check_mode(mode))
        if sizes is None:
            return None
        limit = chunk_rows(1 + self._n_negatives)
        return [stop - start for size in sizes for start, stop in chunks(size, limit)]


class NegativesForTrain(_Negatives):
    """Appends K negatives to the positive of each train row, drawn anew in each epoch.

    Args:
        source: the pipe before it.
        num_negatives: K.
        sampler: draws the negatives instead of the uniform sampler.
    """

    def __init__(self, source: Pipe, num_negatives: int = 1, sampler: NegativeSampler | None = None) -> None:
        super().__init__(source)
        self._sampler = sampler or UniformNegatives(self.base.training_data(), n_negatives=num_negatives)
        self._n_negatives = self._sampler.n_negatives

    def _drawer(self, mode: Mode, seed: int, epoch: int) -> tuple[Draw, np.random.Generator]:
        if mode != "train":
            raise DataError(f"negatives_for_train_ serves train only; join a pipe for {mode} with wrap_")
        return self._sampler.draw, generator(seed, epoch, "negatives_for_train")


class NegativesForEval(_Negatives):
    """Appends K distinct negatives to each held-out positive, the same ones in every epoch of a run.

    Args:
        source: the pipe before it.
        num_negatives: K.
    """

    def __init__(self, source: Pipe, num_negatives: int) -> None:
        super().__init__(source)
        self._n_negatives = num_negatives

    def _drawer(self, mode: Mode, seed: int, epoch: int) -> tuple[Draw, np.random.Generator]:
        if mode == "train":
            raise DataError("negatives_for_eval_ serves valid and test; join a pipe for train with wrap_")
        unseen = self._unseen_in_valid if mode == "valid" else self._unseen_in_test
        # Always epoch 0: metrics of different epochs are compared, so all must use the same candidates.
        return lambda users, rng: self._draw(unseen, users, rng), generator(seed, 0, f"negatives_for_eval {mode}")

    def _draw(self, unseen: UnseenItems, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        asked = np.unique(users)
        mass = np.full_like(unseen.mass, self._n_negatives)
        mass[asked] = unseen.mass[asked]
        refuse_short_of(self._n_negatives, mass, f"{self._n_negatives} different negatives")
        return unseen.draw_distinct(users, self._n_negatives, rng)

    @cached_property
    def _unseen_in_valid(self) -> UnseenItems:
        return UnseenItems(union(self.base.csr("train"), self.base.csr("valid")), self.base.n_items)

    @cached_property
    def _unseen_in_test(self) -> UnseenItems:
        held_out = union(self.base.csr("valid"), self.base.csr("test"))
        return UnseenItems(union(self.base.csr("train"), held_out), self.base.n_items)
