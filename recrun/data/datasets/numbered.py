"""Hold the rows of all tables of a data set under one numbering of their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recrun.data.formats.table import Ids
from recrun.data.interactions import TIMESTAMP
from recrun.data.large.partition import Partition
from recrun.data.large.pieces import (
    are_many,
    is_ascending,
    is_chronological,
    look_up,
    occurrences,
    pieces,
    ranges_of_rows,
    select,
)
from recrun.data.orders import chronological_order

_USERS: Final = " users"
_ITEMS: Final = " items"
_LABELS: Final = " labels"
"""Names that no column of a file has, since blanks around names are cut off."""


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

    def where(self, mask: np.ndarray) -> Rows:
        """Return the rows where a mask (N,) is true."""
        columns = {name: select(values, mask) for name, values in self.columns.items()}
        users, items = (Ids(select(ids.codes, mask), ids.names) for ids in (self.users, self.items))
        return Rows(users, items, columns, None if self.labels is None else select(self.labels, mask))

    def in_order(self) -> Rows:
        """Return the rows by user, then by time where there is one; rows of one user and time stay in their order."""
        users, times = self.users.codes, self.columns.get(TIMESTAMP)
        if not are_many(len(self)):
            order = chronological_order(users, times)
            return self if order is None else self.take(order)
        if is_ascending(users) if times is None else is_chronological(users, times):
            return self
        indptr = np.concatenate(([0], np.cumsum(occurrences(users, len(self.users.names)))))
        ranges = list(ranges_of_rows(indptr))
        part_of_user = np.repeat(np.arange(len(ranges), dtype=np.uint16), [stop - start for start, stop in ranges])
        sizes = np.array([indptr[stop] - indptr[start] for start, stop in ranges])
        columns = {_USERS: users, _ITEMS: self.items.codes, **self.columns}
        if self.labels is not None:
            columns[_LABELS] = self.labels
        partition = Partition(sizes)
        for at in pieces(len(self)):
            partition.add(part_of_user[users[at]], {name: values[at] for name, values in columns.items()})
        ordered = partition.columns
        for at in partition.parts:
            order = chronological_order(ordered[_USERS][at], None if times is None else ordered[TIMESTAMP][at])
            for values in () if order is None else ordered.values():
                values[at] = values[at][order]
        by_user, by_item = ordered.pop(_USERS), ordered.pop(_ITEMS)
        labels = ordered.pop(_LABELS, None)
        return Rows(Ids(by_user, self.users.names), Ids(by_item, self.items.names), ordered, labels)

    def renumbered(self) -> Rows:
        """Return the rows under a numbering of the ids that still occur."""
        numbered = []
        for ids in (self.users, self.items):
            occurs = occurrences(ids.codes, len(ids.names)) > 0
            table = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
            numbered.append(Ids(look_up(table, ids.codes), ids.names[occurs]))
        return Rows(numbered[0], numbered[1], self.columns, self.labels)
