"""Say what does not go together in a section `sweep:`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from recrun.errors import ConfigError, Fault
from recrun.sweep.planning.seeds import SEED
from recrun.sweep.schedules.choose import parse_prune
from recrun.sweep.space.section import Section


def contradictions(section: Section, given: Collection[str] = ()) -> list[Fault]:
    """Return what does not go together in a section, with its places.

    Args:
        section: the section.
        given: its keys, and settings, in whose place options and arguments say something.
    """
    return [
        section.places[key].fault(message, key)
        for key, others, message in _contradictions(section)
        if not {key, *others} & set(given)
    ]


def _contradictions(section: Section) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Yield a key, the keys that it does not go with, and why."""
    if section.seeds is not None and SEED in section.asked.keys:
        yield "seeds", (SEED,), "is given, and the space has values of seed too; give one of the two"
    if section.trials is not None and section.is_grid:
        yield "trials", ("search",), "a grid has the trials that it has; choose search: random, sobol, tpe ..."
    if section.search_seed is not None and section.is_grid:
        yield "search_seed", ("search",), "a grid draws nothing; choose search: random, sobol, tpe ..."
    if section.generation is not None and section.is_grid and not section.decides:
        others = ("search", "prune", "race", "max_epochs")
        yield "generation", others, "a grid whose trials all run whole depends on no results; leave it out"
    if section.prune is not None:
        try:
            parse_prune(section.prune)
        except ConfigError as error:
            for fault in error.faults:
                yield "prune", (), fault.message.removeprefix("--prune").lstrip(": ")
        if section.race:
            yield "race", ("prune",), "prune and race both end trials early, and a race needs whole trials; give one"
