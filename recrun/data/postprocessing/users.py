"""Implement `users_`: yield each user of train once, for models trained on whole rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.chunks import Batch, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.postprocessing.own_rows import draws_from
from recrun.data.tags import ID, USER
from recrun.errors import DataError


class Users(PostProcessor):
    """Yields users `(B, 1)` in ascending order: every user with train items once per epoch.

    Args:
        source: the data set.

    Raises:
        DataError: the pipe does not directly follow the data set, or no user has train items.
    """

    def __init__(self, source: Pipe) -> None:
        draws_from(source, "users_")
        super().__init__(source)
        self.fields = source.fields.groupby(USER, ID)
        self._users = np.flatnonzero(self.base.training_data().csr().lengths)
        if not len(self._users):
            raise DataError("users_: no user has train interactions")

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        self._require_train(mode)
        for start, stop in chunks(len(self._users)):
            yield {self.fields[USER, ID].name: self._users[start:stop, None]}

    def sizes(self, mode: Mode) -> list[int]:
        self._require_train(mode)
        return [stop - start for start, stop in chunks(len(self._users))]

    def _require_train(self, mode: str) -> None:
        if check_mode(mode) != "train":
            raise DataError(f"users_ serves train only; join a pipe for {mode} with wrap_")
