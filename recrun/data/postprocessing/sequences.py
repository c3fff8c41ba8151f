"""Implement `sequences_` and `prefixes_`: yield users' train items ordered by time, with negatives.

Shapes: B rows of a batch, W items of a row, T targets, K negatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Final

import numpy as np

from recrun.data.large.pieces import concatenate
from recrun.data.postprocessing import shuffle
from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunk_rows, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.postprocessing.split import cut
from recrun.data.sampling.negatives import NegativeSampler
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.randomness import generator

LENGTH: Final = "length"
TIMES: Final = "times"
TARGET: Final = "target"
NEGATIVE: Final = "negative"
_STOP: Final = "stop"
_LEAST: Final = 2
"""The fewest items of a history, so that one can be predicted from another."""


class _Pieces(PostProcessor):
    """Yields pieces of users' histories in random order; a piece is told by the place in the rows where it stops.

    Args:
        source: the data set.
        name: what the step is called, for messages.
        sampler: draws negatives; None for none.
        cells: the cells of a row, to bound the size of chunks.
        times: whether rows hold the times of their items.

    Raises:
        DataError: times are wanted, and the data has none.
    """

    def __init__(self, source: Pipe, name: str, sampler: NegativeSampler | None, cells: int, times: bool) -> None:
        draws_from(source, name)
        super().__init__(source)
        self.fields = source.fields.groupby(ID)
        data = self.base.training_data()
        self._name, self._sampler = name, sampler
        self._rows = data.interactions.histories(data.n_users)
        if times and self._rows.times is None:
            raise DataError("the times of interactions are wanted, and the data has none")
        self._times = times
        self._chunk = chunk_rows(cells * (1 + (0 if sampler is None else sampler.n_negatives)))
        self._stops = np.zeros(0, dtype=np.int64)
        self._user, self._item = self.fields[USER, ID].name, self.fields[ITEM, ID].name

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        self.sizes(mode)  # refuses other modes
        rng = generator(seed, epoch, "sequences")
        for stops in self._in_random_order(seed, epoch, rng):
            # A user without items starts where the next one does: the last of them owns the item before the stop.
            yield self._make(np.searchsorted(self._rows.indptr, stops - 1, side="right") - 1, stops, rng)

    def _in_random_order(self, seed: int, epoch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Yield where pieces stop, int64 (B,) for each chunk."""
        n_stops = len(self._stops)
        if n_stops <= shuffle.WHOLE:
            order = rng.permutation(self._stops)
            yield from (order[start:stop] for start, stop in chunks(n_stops, self._chunk))
            return
        plain = list(chunks(n_stops))
        stream = ({_STOP: self._stops[start:stop]} for start, stop in plain)
        shuffled = shuffle.by_buckets(stream, [stop - start for start, stop in plain], seed, epoch)
        yield from (chunk[_STOP] for chunk in cut(shuffled, self._chunk))

    def sizes(self, mode: Mode) -> list[int]:
        if check_mode(mode) != "train":
            raise DataError(f"{self._name} serves train only; join a pipe for {mode} with wrap_")
        return [stop - start for start, stop in chunks(len(self._stops), self._chunk)]

    def _before(self, users: np.ndarray, stops: np.ndarray, width: int) -> Batch:
        """Return the columns of users and of what they have before some places (B,) of their rows."""
        items, lengths = self._rows.before(users, stops, width)
        batch = {self._user: users[:, None], self._item: items, LENGTH: lengths[:, None]}
        return batch | {TIMES: self._rows.times_before(users, stops, width)} if self._times else batch

    @abstractmethod
    def _make(self, users: np.ndarray, stops: np.ndarray, rng: np.random.Generator) -> Batch:
        """Return the columns of the pieces that stop at some places (B,) of the rows of users (B,)."""


class Sequences(_Pieces):
    """Yields users with at least two train items, in random order: their latest items, or all in windows.

    Columns: users (B, 1), items (B, W) padded on the right with 0, "length" (B, 1) of each row, if wanted "times" of
    the items (B, W), and, if there is a sampler, "negative" (B, W, K) padded likewise.

    Windows are those of the latest W items, of the W items `step` earlier, and so on; the last one holds the first W.

    *Source:* the windows are those of BERT4Rec's authors' code (Sun et al., CIKM 2019), which it calls sliding.

    Args:
        source: the data set.
        width: W, the most items of a row.
        sampler: draws K negatives for each item; None for no negatives.
        step: how many items a window is before the one after it; None for one row a user, of the latest items.
        times: whether rows hold the times of their items.
    """

    def __init__(
        self,
        source: Pipe,
        width: int,
        sampler: NegativeSampler | None = None,
        step: int | None = None,
        *,
        times: bool = False,
    ) -> None:
        super().__init__(source, "sequences_", sampler, width, times)
        self._width = width
        users = np.flatnonzero(self._rows.lengths >= _LEAST)
        if not len(users):
            raise DataError(f"no user has {_LEAST} train interactions, the fewest for a sequence")
        self._stops = self._rows.indptr[users + 1]
        if step is not None:
            self._stops = _windows(self._rows.indptr[users], self._stops, width, step)

    def _make(self, users: np.ndarray, stops: np.ndarray, rng: np.random.Generator) -> Batch:
        batch = self._before(users, stops, self._width)
        if self._sampler is not None:
            lengths = batch[LENGTH][:, 0]
            negatives = np.zeros((*batch[self._item].shape, self._sampler.n_negatives), dtype=np.int32)
            is_filled = np.arange(self._width) < lengths[:, None]
            negatives[is_filled] = self._sampler.draw(np.repeat(users, lengths), rng)
            batch[NEGATIVE] = negatives
        return batch


class Prefixes(_Pieces):
    """Yields each train item once as what follows the items before it, in random order; with T, the T items from it on.

    Columns: users (B, 1), items (B, W) padded on the right with 0, "length" (B, 1) of each row, if wanted "times" of
    the items (B, W), "target" (B, T), the items that follow, and, if there is a sampler, "negative" (B, T, K). A user
    with n items has n - T rows.

    *Source:* the data augmentation of Tan, Xu, Liu, DLRS 2016, section 3.1, without its dropout of items.

    Args:
        source: the data set.
        width: W, the most items of a row.
        n_targets: T.
        sampler: draws K negatives for each target; None for no negatives.
        times: whether rows hold the times of their items.
    """

    def __init__(
        self,
        source: Pipe,
        width: int,
        n_targets: int = 1,
        sampler: NegativeSampler | None = None,
        *,
        times: bool = False,
    ) -> None:
        super().__init__(source, "prefixes_", sampler, width + n_targets, times)
        self._width, self._n_targets = width, n_targets
        self._stops = concatenate([*self._stops_of_prefixes()])
        if not len(self._stops):
            raise DataError(f"no user has {1 + n_targets} train interactions, the fewest for a prefix and what follows")

    def _stops_of_prefixes(self) -> Iterator[np.ndarray]:
        """Yield where the T targets of each row stop: after every item that has at least T of its user before it."""
        for first, part in self._rows.pieces():
            n_before = np.arange(part.nnz) - np.repeat(part.indptr[:-1], part.lengths)
            yield self._rows.indptr[first] + 1 + np.flatnonzero(n_before >= self._n_targets)

    def target_counts(self) -> np.ndarray:
        """Return how often each item is a target in an epoch, int64 (I,)."""
        counts = np.zeros(self.base.training_data().n_items, dtype=np.int64)
        for stops in self._stops_of_prefixes():
            for place in range(1, self._n_targets + 1):
                counts += np.bincount(self._rows.indices[stops - place], minlength=len(counts))
        return counts

    def _make(self, users: np.ndarray, stops: np.ndarray, rng: np.random.Generator) -> Batch:
        targets = self._rows.indices[stops[:, None] + np.arange(-self._n_targets, 0)].astype(np.int64)
        batch = self._before(users, stops - self._n_targets, self._width) | {TARGET: targets}
        if self._sampler is not None:
            negatives = self._sampler.draw(np.repeat(users, self._n_targets), rng)
            batch[NEGATIVE] = negatives.reshape(*targets.shape, -1)
        return batch


def _windows(starts: np.ndarray, stops: np.ndarray, width: int, step: int) -> np.ndarray:
    """Return where the windows of rows stop, int64 (N,): those that start at places (U,) and stop at others (U,)."""
    counts = 1 + -(-np.maximum(stops - starts - width, 0) // step)
    firsts = np.cumsum(counts) - counts
    steps = np.arange(counts.sum()) - np.repeat(firsts, counts)
    earliest = np.repeat(np.minimum(starts + width, stops), counts)
    return np.asarray(np.maximum(np.repeat(stops, counts) - steps * step, earliest))
