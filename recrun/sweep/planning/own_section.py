"""Check the section `sweep:` of a config by itself, as `recrun validate` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from recrun.config.monitor_names import parse_monitor, smaller_is_better
from recrun.config.resolve import Resolved, read, resolve
from recrun.errors import ConfigError, Fault, reading_order
from recrun.sweep.planning.contradictions import contradictions
from recrun.sweep.planning.lanes import criteria_of, lanes_of, longest_of, with_methods
from recrun.sweep.planning.procedure import Procedure
from recrun.sweep.planning.seeds import SEED, with_seeds
from recrun.sweep.planning.subjects import Subject
from recrun.sweep.space.asked import without
from recrun.sweep.space.build import space_of
from recrun.sweep.space.check import check_space
from recrun.sweep.space.declared import Base
from recrun.sweep.space.refused import REFUSED, refusals
from recrun.sweep.space.section import Section, read_section
from recrun.sweep.space.variation import Variation, keys_of

_OF_BUDGET: Final = ("max_hours", "max_epochs", "timeout", "retries")


def section_faults(config: Base) -> list[Fault]:
    """Return every fault of the section `sweep:` of a config: of its form, of each value in the config, and together.

    How many points are drawn may be left to `--trials`.

    Args:
        config: a path, the name of a bundled config, or a mapping; that it can be read is left to `resolve`.
    """
    reading, _ = read(config)
    if reading.sweep is None:
        return []
    section, faults = read_section(reading.sweep)
    faults += contradictions(section)
    asked = without(section.asked, REFUSED)
    asked = with_seeds(asked, section.seeds, section.places.get("seeds"), reading.given.get(SEED), faults)
    variation, found = space_of(config, asked, is_grid=section.is_grid)
    faults += [*found, *refusals(section.asked.settings, section.asked.points), *check_space(config, variation)]
    if not faults:
        faults += [placed_in(section, fault) for fault in _method_faults(config, section, variation)]
    return sorted(dict.fromkeys(faults), key=reading_order)


def placed_in(section: Section, fault: Fault) -> Fault:
    """Return a fault of an option, which names it first, at the key of a section that says the same."""
    option = fault.message.partition(" ")[0].rstrip(":")
    name = option.removeprefix("--").replace("-", "_")
    place = section.places.get("budget" if name in _OF_BUDGET else name)
    if fault.file is not None or not option.startswith("--") or place is None:
        return fault
    return replace(fault, file=place.file, line=place.line, column=place.column)


def _method_faults(config: Base, section: Section, variation: Variation) -> Sequence[Fault]:
    """Return why the search, or what ends trials early, does not fit the space and the config."""
    procedure = Procedure(
        section.search,
        section.trials,
        section.search_seed or 0,
        section.prune,
        bool(section.race),
        section.budget.max_epochs,
    )
    try:
        lanes = lanes_of([Subject(config, "", variation)], procedure)
        resolved = list(_resolved(config, variation))
        criteria = criteria_of(resolved[0])
        falls = [smaller_is_better(parse_monitor(each)) for each in criteria]
        configs: list[tuple[int, Mapping[str, Any]]] = [
            (lane.number, each.config) for lane in lanes for each in resolved
        ]
        if section.is_grid or section.trials is not None:
            with_methods(lanes, procedure, longest_of(configs), falls)
    except ConfigError as error:
        return error.faults
    return ()


def _resolved(config: Base, variation: Variation) -> Iterator[Resolved]:
    """Yield the first config of a space, and those in which the number of epochs is another."""
    space = variation.space
    draws = [space.first_draw()]
    for dimension in space.dimensions:
        if "epochs" in keys_of(dimension):
            draws += space.draws_at_ends(dimension)
    for draw in draws:
        settings = {**variation.fixed, **space.settings(draw)}
        yield resolve(config, [f"{key}={text}" for key, text in settings.items()])
