"""Make the seeds of each point an axis."""

from __future__ import annotations

from typing import Final

from recrun.config.reading import Given, Place
from recrun.errors import Fault
from recrun.sweep.space.arguments import MAX_VALUES, Setting
from recrun.sweep.space.asked import Asked
from recrun.sweep.space.ranges import Value

SEED: Final = "seed"
_FIRST_SEED: Final = 1


def with_seeds(
    asked: Asked, seeds: int | tuple[int, ...] | None, place: Place | None, given: Given | None, faults: list[Fault]
) -> Asked:
    """Return what is asked for with the seeds of each point as an axis, unless they are an axis already.

    Args:
        asked: what is asked for.
        seeds: how many seeds there are, from the config's own on, or which; None for that of the config.
        place: where that was said.
        given: the seed of the config, if it has one.
        faults: gets the fault of more seeds than can be listed.
    """
    if seeds is None or SEED in asked.keys:
        return asked
    at = place or Place("--seeds")
    if isinstance(seeds, int):
        if seeds > MAX_VALUES:
            faults.append(at.fault(f"expected at most {MAX_VALUES:,} seeds, found {seeds:,}"))
            return asked
        first = given.value if given is not None and type(given.value) is int and given.value >= 0 else _FIRST_SEED
        seeds = tuple(range(first, first + seeds))
    values = tuple(Value(str(each), at.column, at.file, at.line) for each in seeds)
    return Asked((*asked.settings, Setting(SEED, values, 0, place=at)), asked.zips, asked.points)
