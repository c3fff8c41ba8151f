"""Take a sweep's configs one by one: what varies on each, and what is to be said of settings that some do not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recrun.errors import Fault
from recrun.sweep.space.asked import Asked, without
from recrun.sweep.space.build import space_of
from recrun.sweep.space.declared import Base, declared_settings
from recrun.sweep.space.variation import Variation


@dataclass(frozen=True)
class Subject:
    """A config of a sweep.

    Args:
        base: the config.
        name: what it is called where there are several.
        variation: what varies on it.
    """

    base: Base
    name: str
    variation: Variation


def subjects_of(
    bases: Sequence[Base], asked: Sequence[Asked], *, is_grid: bool
) -> tuple[list[Subject], list[Fault], list[str]]:
    """Return the configs of a sweep with what varies on each, every fault, and notes on settings that some do not have.

    A setting that none of them has is left with all: checking their trials finds the fault.

    Args:
        bases: the configs.
        asked: what is asked for on each.
        is_grid: whether every value is tried.
    """
    names = _names(bases)
    notes: list[str] = []
    if len(bases) > 1:
        asked, notes = _taken(bases, names, asked)
    subjects, faults = [], []
    for base, name, each in zip(bases, names, asked, strict=True):
        variation, found = space_of(base, each, is_grid=is_grid)
        subjects.append(Subject(base, name, variation))
        faults += found
    return subjects, list(dict.fromkeys(faults)), notes


def _taken(bases: Sequence[Base], names: Sequence[str], asked: Sequence[Asked]) -> tuple[list[Asked], list[str]]:
    """Return what is asked for on each config without the settings that it does not have, and notes on these."""
    has = [set(declared_settings(base, each).types) for base, each in zip(bases, asked, strict=True)]
    everywhere = dict.fromkeys(key for each in asked for key in each.keys)
    lacking = {
        key: [name for name, keys, each in zip(names, has, asked, strict=True) if key in each.keys and key not in keys]
        for key in everywhere
    }
    some = {key for key, without in lacking.items() if any(key in keys for keys in has) and without}
    notes = [
        f"{key}: {', '.join(lacking[key])} {'has' if len(lacking[key]) == 1 else 'have'} no such setting"
        for key in everywhere
        if key in some
    ]
    return [without(each, some - keys) for each, keys in zip(asked, has, strict=True)], notes


def _names(bases: Sequence[Base]) -> list[str]:
    """Return a name for each config: that of its file without ending, or its path where two would be the same."""
    short = [Path(str(base)).stem if isinstance(base, (str, Path)) else f"config{n}" for n, base in enumerate(bases, 1)]
    return [name if short.count(name) == 1 else str(base) for base, name in zip(bases, short, strict=True)]
