"""Define the interface `Sampler`: it draws the points of a study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from recrun.sweep.space.dimensions import Draw, Space


@dataclass(frozen=True)
class Told:
    """A point that was drawn, with its values as far as they are known.

    Args:
        draw: the point.
        values: its means of each criterion, in the order of the study's criteria; None while they are not known, or
            where the point failed.
        has_failed: whether it will have no values.
    """

    draw: Draw
    values: tuple[float, ...] | None = None
    has_failed: bool = False


class Sampler(ABC):
    """Draws the points of a space, each of which is a function of the seed and of what it is told alone.

    Args:
        space: the space.
        seed: the seed of all draws.
        smaller_is_better: for each criterion of the study.
    """

    adapts: ClassVar[bool] = False
    """Whether draws depend on the values of earlier points."""

    def __init__(self, space: Space, seed: int, smaller_is_better: Sequence[bool] = (False,)) -> None:
        self.space = space
        self.seed = seed
        self.smaller_is_better = tuple(smaller_is_better)

    @abstractmethod
    def draw(self, told: Sequence[Told]) -> Draw | None:
        """Return the next point, which has the number `len(told)`, or None if the space has no further one.

        Args:
            told: all points drawn before, in order. What is not known of some may be known at the next call.
        """
