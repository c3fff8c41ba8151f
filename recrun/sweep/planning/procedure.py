"""Define how a study proceeds: what draws its points, how many there are, and how far their trials are trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Procedure:
    """How a study proceeds.

    Args:
        search: what draws the points; None for the grid.
        trials: how many points are drawn, for each config and each value of the data.
        search_seed: the seed of the draws.
        prune: what ends trials early; None for nothing.
        race: whether seeds are added only to points that are not significantly worse than the best.
        max_epochs: how many epochs all trials may train together; None for any number.
    """

    search: str | None = None
    trials: int | None = None
    search_seed: int = 0
    prune: str | None = None
    race: bool = False
    max_epochs: int | None = None

    @property
    def is_grid(self) -> bool:
        """Whether every point is tried, in place of drawing some."""
        return self.search in (None, "grid")

    @property
    def decides(self) -> bool:
        """Whether results decide how far trials are trained."""
        return self.prune is not None or self.race or self.max_epochs is not None

    def identity(self) -> dict[str, Any]:
        """Return what makes a study another one; the number of trials does not, since a study can be extended."""
        given: Mapping[str, Any] = {
            "search": None if self.is_grid else self.search,
            "search_seed": 0 if self.is_grid else self.search_seed,
            "prune": self.prune,
            "race": self.race,
        }
        return {key: value for key, value in given.items() if value}
