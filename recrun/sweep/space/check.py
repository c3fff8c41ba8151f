"""Check every value of a space in its config, one dimension at a time, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeAlias

from recrun.config.resolve import Resolved, resolve
from recrun.errors import ConfigError, Fault, reading_order
from recrun.sweep.space.declared import Base
from recrun.sweep.space.dimensions import Dimension, Options
from recrun.sweep.space.variation import Variation, keys_of

Resolver: TypeAlias = Callable[[Base, Sequence[str]], Resolved]
"""`resolve(config, overrides)`; raises a ConfigError that holds every fault."""

MAX_CHECKED: Final = 10_000
"""The most options of a dimension that are checked."""


def check_space(
    config: Base, variation: Variation, *, resolver: Resolver = resolve, most: int = MAX_CHECKED
) -> list[Fault]:
    """Return every fault of the options, and of both ends of the intervals, of a space.

    Each dimension is varied by itself, under the condition that it depends on, while all others keep their first value.
    So combinations that do not fit together are found only if one of them is a first value. Two options with the same
    meaning, such as 1e-3 and 0.001, are a fault too.

    Args:
        config: the base config.
        variation: what varies.
        resolver: resolves and checks a config.
        most: how many options of a dimension are checked at most.
    """
    space = variation.space
    _, of_base = _try(config, variation, {**variation.fixed, **space.settings(space.first_draw())}, resolver)
    faults = list(of_base)
    for dimension in space.dimensions:
        seen: dict[str, str] = {}
        for draw in islice(space.draws_at_ends(dimension), most):
            settings = {**variation.fixed, **space.settings(draw)}
            resolved, found = _try(config, variation, settings, resolver)
            chosen = {key: settings[key] for key in keys_of(dimension) if key in settings}
            faults += [each if each in of_base or each.key in chosen else _with(each, chosen) for each in found]
            faults += _repeated(dimension, chosen, resolved, seen, variation)
    return sorted(_first_of_each_place(faults), key=reading_order)


def repeated_points(config: Base, variation: Variation, *, resolver: Resolver = resolve) -> list[Fault]:
    """Return a fault for each of the settings that are tried together which means the same as an earlier one of these.

    Args:
        config: the base config.
        variation: what varies.
        resolver: resolves and checks a config.
    """
    keys = {key for point in variation.points for key in point}
    space = variation.space
    faults: list[Fault] = []
    for dimension in (each for each in space.dimensions if keys and keys == {*keys_of(each)}):
        seen: dict[str, str] = {}
        for draw in space.draws_at_ends(dimension):
            settings = {**variation.fixed, **space.settings(draw)}
            chosen = {key: settings[key] for key in keys_of(dimension) if key in settings}
            faults += _repeated(dimension, chosen, _try(config, variation, settings, resolver)[0], seen, variation)
    return faults


def _first_of_each_place(faults: Sequence[Fault]) -> list[Fault]:
    """Return faults without those at the place of an earlier one: the same fault, found in another combination."""
    found: dict[tuple[object, ...], Fault] = {}
    for each in faults:
        place = (each.file, each.line, each.column, each.key)
        found.setdefault(place if each.column is not None else (*place, each.message), each)
    return list(found.values())


def _try(
    config: Base, variation: Variation, settings: Mapping[str, str], resolver: Resolver
) -> tuple[Resolved | None, list[Fault]]:
    try:
        return resolver(config, [f"{key}={text}" for key, text in settings.items()]), []
    except ConfigError as error:
        return None, [variation.locate(fault, settings) for fault in error.faults]


def _with(fault: Fault, chosen: Mapping[str, str]) -> Fault:
    return replace(fault, message=f"{fault.message} (with {' '.join(f'{key}={text}' for key, text in chosen.items())})")


def _repeated(
    dimension: Dimension,
    chosen: Mapping[str, str],
    resolved: Resolved | None,
    seen: dict[str, str],
    variation: Variation,
) -> Iterator[Fault]:
    """Yield the fault of an option that means the same as an earlier one."""
    if resolved is None or not isinstance(dimension.values, Options):
        return
    meaning = json.dumps([resolved.config.get(key) for key in keys_of(dimension)], default=str)
    is_one = len(keys_of(dimension)) == 1
    shown: Any = ", ".join(chosen.values()) if is_one else " ".join(f"{k}={v}" for k, v in chosen.items())
    earlier = seen.setdefault(meaning, shown)
    key = next(iter(chosen))
    point = next((each for each in variation.points if {k: value.text for k, value in each.items()} == chosen), None)
    place = variation.place(key, chosen[key]) if point is None else point[key].place
    if earlier != shown and place is not None:
        yield place.fault(f"the value {shown} is given twice: it is equal to {earlier}", key)
