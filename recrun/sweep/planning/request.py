"""Settle what a sweep is asked for, by options and by the sections `sweep:` of its configs, of which options win."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recrun.config.reading import Given
from recrun.config.resolve import read
from recrun.errors import ConfigError, Fault
from recrun.sweep.limits import Limits
from recrun.sweep.planning.contradictions import contradictions
from recrun.sweep.planning.procedure import Procedure
from recrun.sweep.planning.seeds import SEED, with_seeds
from recrun.sweep.schedules.choose import parse_prune
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.asked import Asked, Zip, every_setting, overridden, without
from recrun.sweep.space.declared import Base
from recrun.sweep.space.refused import REFUSED, refusals
from recrun.sweep.space.section import Section, read_section


@dataclass(frozen=True)
class Request:
    """What a sweep is asked for by options; None for what they do not say.

    Args:
        search: what draws the points.
        trials: how many points are drawn for each config and each value of the data.
        add: how many further points a study gets.
        seeds: how many seeds each point has.
        zips: settings that vary together.
        prune: what ends trials early, with its options.
        race: whether seeds are added only to points that are not significantly worse.
        generation: from how many trials before it on, results are not known to a decision.
        search_seed: the seed of the draws.
        max_hours: hours after which no trial starts.
        max_epochs: the epochs that all trials may train together.
        timeout: seconds after which a trial is ended as failed.
        retries: how often a trial that failed or was killed is tried again.
        fail_fast: whether the first failure ends the sweep.
        faults: what is wrong with options, which is said together with all other faults.
    """

    search: str | None = None
    trials: int | None = None
    add: int | None = None
    seeds: int | None = None
    zips: tuple[Zip, ...] = ()
    prune: str | None = None
    race: bool | None = None
    generation: int | None = None
    search_seed: int | None = None
    max_hours: float | None = None
    max_epochs: int | None = None
    timeout: float | None = None
    retries: int | None = None
    fail_fast: bool = False
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Settled:
    """What a sweep does.

    Args:
        asked: what varies on each config.
        procedure: how the study proceeds.
        limits: what ends it, or a trial, before it is done.
        generation: from how many trials before it on, results are not known to a decision; None for the default.
        faults: what is wrong.
    """

    asked: tuple[Asked, ...]
    procedure: Procedure
    limits: Limits
    generation: int | None
    faults: list[Fault]


def settle(bases: Sequence[Base], settings: Sequence[Setting], request: Request) -> Settled:
    """Return what a sweep does by its arguments, its options and the sections of its configs.

    Args:
        bases: the configs.
        settings: the settings of the arguments.
        request: the options.
    """
    faults = [*request.faults]
    sections: list[Section] = []
    seeds: list[Given | None] = []
    given = {each.key for each in settings} | {name for name, value in vars(request).items() if value is not None}
    for base in bases:
        reading, _ = read(base)  # its faults are found when trials are resolved
        section, found = read_section(reading.sweep)
        sections.append(section)
        faults += [*found, *contradictions(section, given)]
        faults += refusals(section.asked.settings, section.asked.points)
        seeds.append(reading.given.get(SEED))
    asked = tuple(
        _with_seeds(overridden(without(section.asked, REFUSED), settings, request.zips), request, section, seed, faults)
        for section, seed in zip(sections, seeds, strict=True)
    )
    one = _Agreed(sections, faults)
    procedure = Procedure(
        search=one.of(request.search, lambda section: section.search, "search"),
        trials=one.of(request.trials or request.add, lambda section: section.trials, "trials"),
        search_seed=one.of(request.search_seed, lambda section: section.search_seed, "search_seed") or 0,
        prune=one.of(request.prune, lambda section: section.prune, "prune"),
        race=bool(one.of(request.race, lambda section: section.race, "race")),
        max_epochs=one.of(request.max_epochs, lambda section: section.budget.max_epochs, "max_epochs"),
    )
    if procedure.is_grid:
        procedure = replace(procedure, trials=None)
    faults += _check(procedure, request)
    limits = Limits(
        max_hours=one.of(request.max_hours, lambda section: section.budget.max_hours, "max_hours"),
        timeout=one.of(request.timeout, lambda section: section.budget.timeout, "timeout"),
        retries=one.of(request.retries, lambda section: section.budget.retries, "retries") or 0,
        fail_fast=request.fail_fast,
    )
    generation = one.of(request.generation, lambda section: section.generation, "generation")
    return Settled(asked, procedure, limits, generation, faults)


@dataclass(frozen=True)
class _Agreed:
    """Finds what several sections say alike."""

    sections: Sequence[Section]
    faults: list[Fault]

    def of(self, option: Any, say: Callable[[Section], Any], name: str) -> Any:
        """Return what an option says, or what the sections do; add a fault if they do not agree."""
        if option is not None:
            return option
        said = list(dict.fromkeys(value for section in self.sections if (value := say(section)) is not None))
        if len(said) > 1:
            values = ", ".join(map(str, said))
            self.faults.append(
                Fault(f"the sections of the configs differ ({values}); say which: {_option(name)}", name)
            )
        return said[0] if said else None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check(procedure: Procedure, request: Request) -> list[Fault]:
    """Return what does not go together."""
    faults = []
    if procedure.is_grid:
        for name, value in (("--trials", request.trials), ("--add", request.add)):
            if value is not None:
                faults.append(
                    Fault(f"{name}: a grid has the trials that it has; choose --search random, sobol, tpe ...")
                )
        if request.search_seed is not None:
            faults.append(Fault("--search-seed: a grid draws nothing; choose --search random, sobol, tpe ..."))
        if request.generation is not None and not procedure.decides:
            faults.append(Fault("--generation: a grid whose trials all run whole depends on no results; leave it out"))
    elif procedure.trials is None:
        faults.append(Fault(f"--search {procedure.search}: say how many points are drawn: --trials N"))
    if request.add is not None and request.trials is not None:
        faults.append(Fault("--add and --trials exclude each other: N further points, or N in all"))
    if request.prune is not None:
        try:
            parse_prune(request.prune)
        except ConfigError as error:
            faults += error.faults
    return faults


def _with_seeds(asked: Asked, request: Request, section: Section, given: Given | None, faults: list[Fault]) -> Asked:
    """Return what is asked for with the seeds of each point as an axis."""
    if request.seeds is not None:
        if SEED in asked.keys:
            message = "is given, and --seeds too; give one of the two"
            at = next((each for each in every_setting(asked.settings) if each.key == SEED), None)
            faults.append(Fault(message, SEED) if at is None else at.fault(message))
        return with_seeds(asked, request.seeds, None, given, faults)
    return with_seeds(asked, section.seeds, section.places.get("seeds"), given, faults)
