"""Draw negatives for or from a whole batch, draw candidates for the model to choose from, and add log-probabilities.

Shapes: B rows, K negatives, M candidates for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunk_rows, chunks, count_rows
from recrun.data.postprocessing.mode import Mode
from recrun.data.postprocessing.sequences import LENGTH, NEGATIVE, TARGET
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator

CANDIDATES: Final = "candidates"
"""The column (B, K, M) of items from which the model chooses its K negatives."""
LOG_Q: Final = "log_q"
"""The column of the log-probabilities with which negatives were drawn, of their shape; (1, K) of shared ones."""
SHARED: Final = "shared"
"""The items (K,) that are negatives of all rows of a batch."""
SEEN: Final = "seen"
"""The column (B, K) that says which of them do not count for a row."""


class _OfTrain(PostProcessor):
    """A step that serves train only.

    Args:
        source: the pipe before it.
        sampler: draws the negatives.
    """

    def __init__(self, source: Pipe, sampler: Any) -> None:
        super().__init__(source)
        self._sampler = sampler
        self._user, self._item = self.fields[USER, ID].name, self.fields[ITEM, ID].name

    def _train(self, mode: Mode, seed: int, epoch: int) -> Iterator[Batch]:
        if mode != "train":
            raise DataError(f"training negatives are drawn for train only; join a pipe for {mode} with wrap_")
        return self.source.iterate(mode, seed=seed, epoch=epoch)


class NegativesFromBatch(_OfTrain):
    """Appends K negatives, drawn with regard to the whole batch, to the positive of each row; it follows `split_`."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        rng = generator(seed, epoch, "negatives_from_batch")
        for batch in self._train(mode, seed, epoch):
            negatives = self._sampler.draw_from_batch(batch[self._user][:, 0], batch[self._item][:, 0], rng)
            yield batch | {self._item: np.concatenate((batch[self._item], negatives.astype(np.int64)), axis=1)}


class SharedByBatch(_OfTrain):
    """Adds the negatives that the rows of a batch share, and which of them do not count; it follows `split_`.

    Args:
        source: the pipe before it.
        sampler: draws the negatives.
        target: the column of the positives; None for that of the items.
        logs: whether log-probabilities are added as well.
    """

    def __init__(self, source: Pipe, sampler: Any, target: str | None = None, *, logs: bool = False) -> None:
        super().__init__(source, sampler)
        self._target, self._logs = target, logs

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        rng = generator(seed, epoch, "shared_negatives")
        for batch in self._train(mode, seed, epoch):
            shared = self._sampler.draw_shared(batch[self._target or self._item], rng)
            batch = batch | {SHARED: shared, SEEN: self._sampler.find_seen(batch[self._user][:, 0], shared)}
            yield batch | {LOG_Q: self._sampler.log_probability(shared)[None]} if self._logs else batch


class Candidates(_OfTrain):
    """Adds a column of candidates for negatives, (B, K, M)."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        rng = generator(seed, epoch, "candidates")
        for batch in self._train(mode, seed, epoch):
            for start, stop in chunks(count_rows(batch), self._chunk):
                piece = {name: column[start:stop] for name, column in batch.items()}
                yield piece | {CANDIDATES: self._sampler.draw(piece[self._user][:, 0], rng).astype(np.int64)}

    def sizes(self, mode: Mode) -> list[int] | None:
        sizes = self.source.sizes(mode)
        return None if sizes is None else [stop - start for size in sizes for start, stop in chunks(size, self._chunk)]

    @property
    def _chunk(self) -> int:
        return chunk_rows(self._sampler.n_negatives * self._sampler.n_candidates)


class LogProbabilities(_OfTrain):
    """Adds a column of the log-probabilities with which the K negatives were drawn, float32 (B, K).

    In rows of sequences it is (B, W, K), as that of the negatives, and 0 in the padding.
    """

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        for batch in self._train(mode, seed, epoch):
            users = batch[self._user][:, 0]
            if NEGATIVE in batch:
                yield batch | {LOG_Q: self._of_targets(batch, users)}
            else:
                yield batch | {LOG_Q: self._sampler.log_probability(users, batch[self._item][:, 1:])}

    def _of_targets(self, batch: Batch, users: np.ndarray) -> np.ndarray:
        """Return those of negatives (B, W, K) that were drawn for the items of rows, or for what follows them."""
        negatives = batch[NEGATIVE]
        is_filled = np.ones(negatives.shape[:2], dtype=bool)
        if TARGET not in batch:
            is_filled = np.arange(negatives.shape[1]) < batch[LENGTH]
        log_q = np.zeros(negatives.shape, dtype=np.float32)
        log_q[is_filled] = self._sampler.log_probability(users[is_filled.nonzero()[0]], negatives[is_filled])
        return log_q
