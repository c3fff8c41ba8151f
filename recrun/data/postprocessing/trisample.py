"""Implement `trisample_`: yield users with targets over all items, for evaluation on dense scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recrun.data.interactions import CSR
from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError


class TriSample(PostProcessor):
    """Yields users `(B, 1)` and, under the item's name, targets int8 `(B, I)`.

    A target is 1 where the item is held out in this mode, -1 where the user interacted with it before (in train for
    valid, in train and valid for test), 0 elsewhere. Users come in ascending order; those without held-out items are
    left out.

    Args:
        source: the data set.
        batch_size: B.

    Raises:
        DataError: the batch size is not positive, or the pipe does not directly follow the data set.
    """

    def __init__(self, source: Pipe, batch_size: int) -> None:
        draws_from(source, "trisample_")
        super().__init__(source)
        if batch_size < 1:
            raise DataError(f"expected a batch size of at least 1, found {batch_size}")
        self.fields = source.fields.groupby(ID)
        self.batch_size = batch_size

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        everyone = self._users(mode)
        relevant, seen = self.base.csr(mode), self.base.seen(mode)
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        for start, stop in chunks(len(everyone), self.batch_size):
            users = everyone[start:stop]
            targets = np.zeros((len(users), self.base.n_items), dtype=np.int8)
            targets[_cells(relevant, users)] = 1
            targets[_cells(seen, users)] = -1
            yield {user: users[:, None], item: targets}

    def sizes(self, mode: Mode) -> list[int]:
        return [stop - start for start, stop in chunks(len(self._users(mode)), self.batch_size)]

    def _users(self, mode: Mode) -> np.ndarray:
        if check_mode(mode) == "train":
            raise DataError("trisample_ serves valid and test; join a pipe for train with wrap_")
        return np.flatnonzero(self.base.csr(mode).lengths)


def _cells(rows: CSR, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    indptr, items = rows.rows(users)
    return np.repeat(np.arange(len(users)), np.diff(indptr)), items
