"""Implement `sequences_`: yield each user's latest train items ordered by time, with negatives for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunk_rows, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.sampling.negatives import NegativeSampler
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator

LENGTH: Final = "length"
NEGATIVE: Final = "negative"
_LEAST: Final = 2
"""The fewest items of a history, so that one can be predicted from another."""


class Sequences(PostProcessor):
    """Yields every user with at least two train items once, in random order.

    Columns: users (B, 1), items (B, W) padded on the right with 0, "length" (B, 1) of each history, and, if there is a
    sampler, "negative" (B, W, K) padded likewise.

    Args:
        source: the data set.
        width: W, the most items of a history that are yielded, the latest ones.
        sampler: draws K negatives for each item; None for no negatives.
    """

    def __init__(self, source: Pipe, width: int, sampler: NegativeSampler | None = None) -> None:
        draws_from(source, "sequences_")
        super().__init__(source)
        self.fields = source.fields.groupby(ID)
        data = self.base.training_data()
        self._width, self._sampler = width, sampler
        self._rows = data.interactions.histories(data.n_users)
        self._users = np.flatnonzero(self._rows.lengths >= _LEAST)
        if not len(self._users):
            raise DataError(f"no user has {_LEAST} train interactions, the fewest for a sequence")

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        sizes = self.sizes(mode)
        rng = generator(seed, epoch, "sequences")
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        order, start = rng.permutation(self._users), 0
        for size in sizes:
            users = order[start : start + size]
            start += size
            items, lengths = self._rows.latest(users, self._width)
            batch = {user: users[:, None], item: items, LENGTH: lengths[:, None]}
            if self._sampler is not None:
                negatives = np.zeros((size, self._width, self._sampler.n_negatives), dtype=np.int32)
                is_filled = np.arange(self._width) < lengths[:, None]
                negatives[is_filled] = self._sampler.draw(np.repeat(users, lengths), rng)
                batch[NEGATIVE] = negatives
            yield batch

    def sizes(self, mode: Mode) -> list[int]:
        if check_mode(mode) != "train":
            raise DataError(f"sequences_ serves train only; join a pipe for {mode} with wrap_")
        n_negatives = 0 if self._sampler is None else self._sampler.n_negatives
        limit = chunk_rows(self._width * (1 + n_negatives))
        return [stop - start for start, stop in chunks(len(self._users), limit)]
