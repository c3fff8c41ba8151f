"""Hold the rows of all tables of a data set under one numbering of their ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recrun.data.formats.table import Ids


@dataclass(eq=False)
class Rows:
    """The rows of all tables under one numbering; `labels` is None until they are split.

    Args:
        users: of each row (N,).
        items: of each row (N,).
        columns: further columns (N,).
        labels: the part of each row (N,).
    """

    users: Ids
    items: Ids
    columns: dict[str, np.ndarray]
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.users.codes)

    def take(self, index: np.ndarray) -> Rows:
        """Return the rows at some positions, in their order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        users, items = (Ids(ids.codes[index], ids.names) for ids in (self.users, self.items))
        return Rows(users, items, columns, None if self.labels is None else self.labels[index])

    def renumbered(self) -> Rows:
        """Return the rows under a numbering of the ids that still occur."""
        numbered = []
        for ids in (self.users, self.items):
            occurs = np.bincount(ids.codes, minlength=len(ids.names)) > 0
            table = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
            numbered.append(Ids(table[ids.codes], ids.names[occurs]))
        return Rows(numbered[0], numbered[1], self.columns, self.labels)
