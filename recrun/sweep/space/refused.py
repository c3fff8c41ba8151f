"""Refuse settings that a sweep decides itself, and those that cannot differ between its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from recrun.errors import Fault
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.asked import every_setting
from recrun.sweep.space.ranges import Value

REFUSED: Final = {
    "eval_test": "a sweep that chooses never evaluates on test: validation selects the best trial, and test is for "
    "that one; remove this, then score the best trial with 'recrun eval --checkpoint RUN'",
    "id": "a sweep names the run folders of its trials itself; remove this",
    "resume": "to continue a sweep, repeat its command; remove this",
}
"""The settings that cannot be given to a sweep, and why."""

_NOT_SWEPT: Final = {
    "which4best": "trials are compared by one criterion; give one value, or a list in brackets for a Pareto front",
    "eval_valid": "trials are compared on validation; give one value",
    "plots": "does not change results; give one value",
    "track": "does not change results; give one value",
    "track_project": "does not change results; give one value",
    "verbose": "does not change results; give one value",
}


def refusals(settings: Sequence[Setting], points: Sequence[Mapping[str, Value]] = ()) -> list[Fault]:
    """Return a fault for each setting that a sweep cannot be given, or cannot vary.

    Args:
        settings: the settings as written, with their branches.
        points: settings that are tried together.
    """
    found = every_setting(settings)
    faults = [
        setting.fault(REFUSED[setting.key], 1 if setting.place is None else None)
        for setting in found
        if setting.key in REFUSED
    ]
    faults += [
        setting.fault(_NOT_SWEPT[setting.key], setting.values[1] if len(setting.values) > 1 else None)
        for setting in found
        if setting.key in _NOT_SWEPT and setting.is_axis
    ]
    never = {**REFUSED, **_NOT_SWEPT}
    return faults + [
        value.place.fault(never[key], key) for point in points for key, value in point.items() if key in never
    ]
