"""Means over users, and the values of each user that they are over.

Shapes: U users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from recrun.metrics.ranking import Array, Doubles

SUMMED: Final = 1024
"""Users whose values are added up in one go; fixed, because the rounding of a sum depends on it."""


class PerUser(NamedTuple):
    """The values of metrics that are means over users, for each user."""

    users_U: Array
    """The users, each once: internal ids within an evaluation, original ones (integers or text) outside of it."""
    values: Mapping[str, Doubles]
    """(U,) by the metric's name, such as "recall@20"; NaN for a user who is left out of its mean."""


class RunningMean:
    """A mean over users whose values arrive in batches, all but the last of a multiple of `SUMMED` users.

    Args:
        keep: whether the values are kept as well.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._sums: list[float] = []
        self._count = 0
        self._kept: list[Doubles] | None = [] if keep else None

    def add(self, values_B: Doubles) -> None:
        """Add the values of some users; NaN leaves a user out."""
        if self._kept is not None:
            self._kept.append(values_B.copy())
        defined_B = ~np.isnan(values_B)
        self._count += int(defined_B.sum())
        values_B = np.where(defined_B, values_B, 0.0)
        self._sums += [float(values_B[i : i + SUMMED].sum()) for i in range(0, len(values_B), SUMMED)]

    @property
    def mean(self) -> float | None:
        """The mean of the users that are not left out; None if all are."""
        return math.fsum(self._sums) / self._count if self._count else None

    @property
    def kept(self) -> Sequence[Doubles] | None:
        """The values of each batch; None if they are not kept."""
        return self._kept


def mean_of_users(values_U: Doubles) -> float | None:
    """Return the mean over users exactly as an evaluation computes it; None if all of them are left out.

    Args:
        values_U: (U,) in the order of the evaluation; NaN for a user who is left out.

    >>> mean_of_users(np.array([0.5, math.nan, 0.25]))
    0.375
    """
    running = RunningMean()
    running.add(values_U)
    return running.mean
