"""What evaluation needs of several processes that share the work of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Sharing(Protocol):
    """This process and the others, as `recrun.training.parallel.process_group.Processes`.

    Attributes:
        rank: the number of this process, from 0.
        n: how many there are.
    """

    rank: int
    n: int

    @property
    def leads(self) -> bool:
        """Whether the results are wanted in this process."""

    def collect(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send a state to the leader; return those of the others there, by rank, and nothing elsewhere."""


def own_part(rows: Array, sharing: Sharing | None) -> Array:
    """Return the rows of this process: those that follow each other, about as many as any other process has."""
    if sharing is None:
        return rows
    return rows[sharing.rank * len(rows) // sharing.n : (sharing.rank + 1) * len(rows) // sharing.n]


def collected(arrays: Sequence[Array], sharing: Sharing) -> list[Sequence[Array]]:
    """Send arrays to the leader; return there those of all processes that have some, by rank, and nothing elsewhere."""
    others = sharing.collect({"arrays": list(arrays)})
    of_others = ([np.asarray(each) for each in state["arrays"]] for state in others)
    return [each for each in (arrays, *of_others) if len(each)] if sharing.leads else []
