"""Choose the search of a sweep by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from recrun.errors import ConfigError, unknown
from recrun.sweep.search.sampler import Sampler
from recrun.sweep.space.dimensions import Space

SEARCHES: Final[Mapping[str, str]] = {
    "grid": "all points, in order",
    "random": "random points",
    "sobol": "points that fill the space evenly: a scrambled Sobol' sequence",
    "tpe": "tree-structured Parzen estimators (Optuna); any space, one or several criteria",
    "gp": "a Gaussian process (Optuna); few trials, mostly numeric settings",
    "cmaes": "CMA-ES (Optuna); many trials, numeric settings, one criterion",
    "nsga2": "the genetic algorithm NSGA-II (Optuna); many trials, several criteria",
}
"""What `--search` accepts, with a line on each."""


def choose_sampler(name: str, space: Space, seed: int, smaller_is_better: Sequence[bool] = (False,)) -> Sampler:
    """Return the search of a name.

    Args:
        name: one of `SEARCHES`.
        space: what it draws from.
        seed: the seed of all draws, >= 0.
        smaller_is_better: for each criterion of the study.

    Raises:
        ConfigError: there is no such search, its package is not installed, or it cannot search this space or by several
            criteria.
    """
    if name == "grid":
        from recrun.sweep.search.grid import GridSampler

        return GridSampler(space, seed, smaller_is_better)
    if name == "random":
        from recrun.sweep.search.random_draws import RandomSampler

        return RandomSampler(space, seed, smaller_is_better)
    if name == "sobol":
        from recrun.sweep.search.sobol import SobolSampler

        return SobolSampler(space, seed, smaller_is_better)
    if name in SEARCHES:
        from recrun.sweep.search.optuna_draws import OptunaSampler

        return OptunaSampler(name, space, seed, smaller_is_better)
    raise ConfigError(unknown("search", name, SEARCHES))
