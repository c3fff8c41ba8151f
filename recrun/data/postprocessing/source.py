"""The beginning of a chain of pipes, and all that the steps and a training loop ask of a data set."""

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
    """The beginning of a chain: streams a data set's interactions, each column `(B, 1)`, users and items as int64.

    Attributes:
        n_users: U, the number of users in all parts together.
        n_items: I, likewise.
        hashes: SHA-256 of what the data was made from, and of the three parts under "split".
        notes: what a user should know.
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
        """Return one part: "train", "valid" (empty when there is none) or "test"."""

    @abstractmethod
    def csr(self, split: Mode) -> CSR:
        """Return each user's items in one part, ascending."""

    @abstractmethod
    def seen(self, split: Mode) -> CSR:
        """Return each user's items that ranking for a part leaves out."""

    @abstractmethod
    def histories(self, split: Mode) -> CSR:
        """Return each user's items before a part, in the order of time."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return statistics of the data by name; under "train", "valid" and "test" the rows of each part."""

    @abstractmethod
    def training_data(self) -> TrainingData:
        """Return all that a model may see."""

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Batch]:
        interactions = self.interactions(check_mode(mode))
        user, item = self.fields[USER, ID].name, self.fields[ITEM, ID].name
        others = [name for name in interactions.columns if any(field.name == name for field in self.fields)]
        for start, stop in chunks(len(interactions)):
            batch = {user: interactions.users[start:stop], item: interactions.items[start:stop]}
            batch = {name: column.astype(np.int64) for name, column in batch.items()}
            # Copies, because a cached column is a read-only map of a file and later steps may hand it to torch.
            batch |= {name: np.array(interactions.columns[name][start:stop]) for name in others}
            yield {name: column.reshape(len(column), -1) for name, column in batch.items()}

    def sizes(self, mode: Mode) -> list[int]:
        return [stop - start for start, stop in chunks(len(self.interactions(check_mode(mode))))]
