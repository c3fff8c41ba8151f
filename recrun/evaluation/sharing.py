"""What evaluation needs of several processes that share the work of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]


class Divided(Protocol):
    """The vectors of users and items that each process has for its own rows.

    Attributes:
        users: the numbers of the users whose vectors are in this process.
        items: the numbers of its items.
        n_users: how many users there are in all.
    """

    users: slice
    items: slice
    n_users: int

    def vectors(self, model: Any) -> tuple[Tensor, Tensor]:
        """Return the vectors (users, D) and (items, D) of this process; all processes call it at once."""


class Sharing(Protocol):
    """This process and the others, as `recrun.training.parallel.process_group.Processes`.

    Attributes:
        rank: the number of this process, from 0.
        n: how many there are.
    """

    rank: int
    n: int

    @property
    def tables(self) -> Divided | None:
        """Who has the vectors of whom, if they are divided; None if each process has those of all."""

    @property
    def leads(self) -> bool:
        """Whether the results are wanted in this process."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes by rank; all have one shape and type."""

    def collect(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send a state to the leader; return those of the others there, by rank, and nothing elsewhere."""


def part_of(length: int, rank: int, n: int) -> slice:
    """Return the part of so many rows that one of n processes has: rows that follow each other, as many as another's.

    The numbers of rows differ by one at most.
    """
    return slice(rank * length // n, (rank + 1) * length // n)


def own_part(rows: Array, sharing: Sharing | None) -> Array:
    """Return the rows of this process."""
    return rows if sharing is None else rows[part_of(len(rows), sharing.rank, sharing.n)]


def collected(arrays: Sequence[Array], sharing: Sharing) -> list[Sequence[Array]]:
    """Send arrays to the leader; return there those of all processes that have some, by rank, and nothing elsewhere."""
    others = sharing.collect({"arrays": list(arrays)})
    of_others = ([np.asarray(each) for each in state["arrays"]] for state in others)
    return [each for each in (arrays, *of_others) if len(each)] if sharing.leads else []
