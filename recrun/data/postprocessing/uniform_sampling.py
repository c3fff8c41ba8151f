"""Implement `uniform_sampling_`: draw users uniformly, each with one of their items and negatives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunk_rows, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.sampling.negatives import NegativeSampler, UniformNegatives
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator


class UniformSampling(PostProcessor):
    """Draws, as many times as train has rows, a user, one of the user's train items, and K negatives.

    Users are drawn uniformly from those with train items, so a user with few items is drawn as often as one with many.

    Args:
        source: the data set.
        num_negatives: K.
        sampler: draws the negatives instead of the uniform sampler.
    """

    def __init__(self, source: Pipe, num_negatives: int = 1, sampler: NegativeSampler | None = None) -> None:
        draws_from(source, "uniform_sampling_")
        super().__init__(source)
        self.fields = source.fields.groupby(ID)
        data = self.base.training_data()
        self._sampler = sampler or UniformNegatives(data, n_negatives=num_negatives)
        self._rows = data.csr()
        self._n_draws = len(data.interactions)
        self._lengths = self._rows.lengths
        self._users = np.flatnonzero(self._lengths).astype(np.int32)
        if not len(self._users):
            raise DataError("uniform_sampling_: no user has train interactions")

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        sizes = self.sizes(mode)
        rng = generator(seed, epoch, "uniform_sampling")
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        for size in sizes:
            users = self._users[rng.integers(0, len(self._users), size, dtype=np.int32)]
            positions = self._rows.indptr[users] + rng.integers(0, self._lengths[users])
            items = np.empty((size, 1 + self._sampler.n_negatives), dtype=np.int64)
            items[:, 0] = self._rows.indices[positions]
            items[:, 1:] = self._sampler.draw(users, rng)
            yield {user: users.astype(np.int64)[:, None], item: items}

    def sizes(self, mode: Mode) -> list[int]:
        if check_mode(mode) != "train":
            raise DataError(f"uniform_sampling_ serves train only; join a pipe for {mode} with wrap_")
        return [stop - start for start, stop in chunks(self._n_draws, chunk_rows(1 + self._sampler.n_negatives))]
