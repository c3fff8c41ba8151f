"""Divide a sweep into lanes: one config on one value of the data axes each, with the points that are known of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from recrun.config.resolve import Resolved
from recrun.errors import ConfigError
from recrun.sweep.planning.procedure import Procedure
from recrun.sweep.planning.study import Lane
from recrun.sweep.planning.subjects import Subject
from recrun.sweep.schedules.budget import budgeted
from recrun.sweep.schedules.choose import choose_schedule, notes_on
from recrun.sweep.search.choose import choose_sampler
from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Draw, Space
from recrun.sweep.space.variation import CHOICE, OF_DATA, REPEAT

MAX_TRIALS: Final = 10_000
"""A larger grid is refused: it is probably a typo, and otherwise too large for a grid search."""


def lanes_of(subjects: Sequence[Subject], procedure: Procedure) -> list[Lane]:
    """Return the lanes of a sweep, without their schedules and adaptive samplers, which depend on the configs.

    Args:
        subjects: the configs, each with what varies on it.
        procedure: how the study proceeds.

    Raises:
        ConfigError: there are too many trials, or there is no such search.
    """
    lanes: list[Lane] = []
    for number, subject in enumerate(subjects):
        seeds, data, choices = (subject.variation.part(kind) for kind in (REPEAT, OF_DATA, CHOICE))
        repeats = tuple(seeds.settings(draw) for draw in _draws_of(seeds))
        for draw in _draws_of(data):
            lanes.append(Lane(len(lanes), number, data.settings(draw), repeats, choices.under(draw)))
    _refuse_too_many(lanes, procedure)
    return [_with_draws(lane, procedure) for lane in lanes]


def longest_of(configs: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[int, Mapping[str, Any]]:
    """Return the config of each lane that trains the most epochs; of equal ones the first.

    Args:
        configs: the number of a lane and a config of a trial of it, each.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for lane, config in configs:
        if lane not in found or (config.get("epochs") or 0) > (found[lane].get("epochs") or 0):
            found[lane] = config
    return found


def with_methods(
    lanes: Sequence[Lane],
    procedure: Procedure,
    configs: Mapping[int, Mapping[str, Any]],
    smaller_is_better: Sequence[bool],
) -> tuple[list[Lane], list[str]]:
    """Return lanes with what draws their points from results, and what schedules their trials; and notes on that.

    Args:
        lanes: the lanes.
        procedure: how the study proceeds.
        configs: a resolved config of each lane, by its number; where epochs vary, one with the most.
        smaller_is_better: for each criterion.

    Raises:
        ConfigError: a schedule does not fit the configs, or a search the space or the criteria.
    """
    found, notes = [], notes_on(procedure.prune, configs.values())
    for lane in lanes:
        sampler = _sampler(lane, procedure, smaller_is_better) if lane.draws is None else None
        schedule = choose_schedule(
            procedure.prune,
            procedure.race,
            n_repeats=len(lane.repeats),
            config=configs[lane.number],
            draws_adapt=sampler is not None and sampler.adapts,
            n_criteria=len(smaller_is_better),
        )
        found.append(replace(lane, sampler=sampler, schedule=schedule))
    if procedure.max_epochs is None:
        return found, notes
    schedules = budgeted([lane.schedule for lane in found if lane.schedule is not None], procedure.max_epochs)
    return [replace(lane, schedule=schedule) for lane, schedule in zip(found, schedules, strict=True)], notes


def criteria_of(resolved: Resolved) -> tuple[str, ...]:
    """Return the metrics by which trials like a resolved one are compared."""
    return resolved.criteria or (resolved.config["which4best"],)


def probes(space: Space) -> Iterator[Draw]:
    """Yield draws in which each option and each end of a range occurs, others at their first value."""
    for dimension in space.dimensions:
        yield from space.draws_at_ends(dimension)


def _draws_of(space: Space) -> Iterator[Draw]:
    """Yield each point of a space, in order; one without values if it has no dimension."""
    yield from islice(space.grid(), MAX_TRIALS + 1)


def _refuse_too_many(lanes: Sequence[Lane], procedure: Procedure) -> None:
    counts = [(lane.space.n_points if procedure.is_grid else procedure.trials) or 0 for lane in lanes]
    n_trials = sum(count * len(lane.repeats) for count, lane in zip(counts, lanes, strict=True))
    if n_trials > MAX_TRIALS:
        what = "grid" if procedure.is_grid else "study"
        raise ConfigError(f"the {what} has {n_trials:,} trials; at most {MAX_TRIALS:,} are accepted")


def _with_draws(lane: Lane, procedure: Procedure) -> Lane:
    """Return a lane with its points, where these do not depend on results."""
    if procedure.is_grid or not lane.space.dimensions:
        draws = tuple(lane.space.grid())
        return replace(lane, draws=draws, n_points=len(draws))
    n_points = procedure.trials or 0
    sampler = _sampler(lane, procedure, (False,))
    if sampler.adapts or not n_points:  # without a number, which is a fault, the ends of what varies are checked
        return replace(lane, n_points=n_points)
    told: list[Told] = []
    while len(told) < n_points and (draw := sampler.draw(told)) is not None:
        told.append(Told(draw))
    return replace(lane, draws=tuple(each.draw for each in told), n_points=len(told))


def _sampler(lane: Lane, procedure: Procedure, smaller_is_better: Sequence[bool]) -> Sampler:
    return choose_sampler(procedure.search or "grid", lane.space, procedure.search_seed, smaller_is_better)
