"""Define the interface of data sets as the source of a chain of pipes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from recrun.data.interactions import CSR, Interactions, TrainingData
from recrun.data.postprocessing.base import Pipe
from recrun.data.postprocessing.chunks import Batch, chunks
from recrun.data.postprocessing.mode import Mode, check_mode
from recrun.data.tags import ID, ITEM, USER


class Source(Pipe):
    """The start of a chain: streams a data set's interactions, each column `(B, 1)`, users and items as int64.

    Attributes:
        n_users: U, the number of users in all parts together.
        n_items: I, likewise.
        hashes: SHA-256 of the data's sources, and of the three parts under "split".
        notes: remarks on the data for the user.
    """

    n_users: int
    n_items: int
    hashes: dict[str, str]
    notes: list[str]

    @property
    def base(self) -> Source:
        return self

    @abstractmethod
    def interactions(self, split: Mode) -> Interactions:
        """Return one part: "train", "valid" (empty if there is none) or "test"."""

    @abstractmethod
    def csr(self, split: Mode) -> CSR:
        """Return each user's items in one part, ascending."""

    @abstractmethod
    def seen(self, split: Mode) -> CSR:
        """Return each user's items that are excluded from the ranking for a part."""

    @abstractmethod
    def histories(self, split: Mode) -> CSR:
        """Return each user's items from before a part, ordered by time."""

    @property
    def trains_on_valid(self) -> bool:
        """Whether models are trained on train and valid together."""
        return False

    def refuse_torn_histories(self) -> None:
        """Refuse data in which histories hold items from after the held-out ones, for models that read histories.

        Raises:
            DataError: there are some.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return statistics of the data by name; "train", "valid" and "test" hold the number of rows of each part."""

    @abstractmethod
    def training_data(self) -> TrainingData:
        """Return all that a model may see."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        interactions = self._rows_of(mode)
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        others = [name for name in interactions.columns if any(field.name == name for field in self.fields)]
        for start, stop in chunks(len(interactions)):
            batch = {user: interactions.users[start:stop], item: interactions.items[start:stop]}
            batch = {name: column.astype(np.int64) for name, column in batch.items()}
            # Copies, because a cached column is memory-mapped from a file and later steps may pass it to torch.
            batch |= {name: np.array(interactions.columns[name][start:stop]) for name in others}
            yield {name: column.reshape(len(column), -1) for name, column in batch.items()}

    def sizes(self, mode: Mode) -> list[int]:
        return [stop - start for start, stop in chunks(len(self._rows_of(mode)))]

    def _rows_of(self, mode: Mode) -> Interactions:
        """Return the rows that are streamed; for train, those that models are trained on."""
        return self.training_data().interactions if check_mode(mode) == "train" else self.interactions(mode)
