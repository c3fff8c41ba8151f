"""Describe what a sweep varies on one config: its space, and where each value was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from recrun.config.reading import Place
from recrun.errors import Fault
from recrun.sweep.space.arguments import Setting
from recrun.sweep.space.dimensions import Dimension, Interval, Space
from recrun.sweep.space.ranges import Value

CHOICE: Final = "choice"
"""What is compared, and searched."""

OF_DATA: Final = "data"
"""What changes the data, so that each value has a ranking of its own."""

REPEAT: Final = "repeat"
"""What is averaged: seeds and folds."""


@dataclass(frozen=True)
class Variation:
    """What a sweep varies on one config.

    Args:
        space: all dimensions.
        kinds: by the name of a dimension, `CHOICE`, `OF_DATA` or `REPEAT`; dimensions of the latter two have options.
        fixed: the settings that all trials share, as `KEY=VALUE` texts.
        written: the settings as written, by key; several where branches have the same key.
        points: the settings that are tried together, as written.
    """

    space: Space
    kinds: Mapping[str, str]
    fixed: Mapping[str, str]
    written: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)
    points: tuple[Mapping[str, Value], ...] = ()

    def part(self, kind: str) -> Space:
        """Return the dimensions of one kind; those that are compared may depend on others, that change the data."""
        return Space(tuple(each for each in self.space.dimensions if self.kinds[each.name] == kind))

    def keys(self, kind: str) -> tuple[str, ...]:
        """Return the settings that the dimensions of one kind vary."""
        found = [key for dimension in self.part(kind).dimensions for key in keys_of(dimension)]
        return tuple(dict.fromkeys(found))

    def locate(self, fault: Fault, settings: Mapping[str, str]) -> Fault:
        """Return a fault of a trial, placed where the user wrote the setting.

        Args:
            fault: a fault of `recrun.config.resolve.resolve`.
            settings: the settings that were handed to it, in this order, as `KEY=VALUE` arguments.
        """
        match = re.fullmatch(r"argument (\d+)", fault.file or "")
        if match is not None and int(match[1]) <= len(settings):
            key = list(settings)[int(match[1]) - 1]
        elif fault.key in settings and fault.file is None:
            key = fault.key
        else:
            return fault
        place = self.place(key, settings[key])
        if place is None:
            return fault
        offset = 0 if fault.column is None else fault.column - len(key) - 2
        if offset < 0:
            place = next((each.where for each in self.written.get(key, ())), place)
        column = None if place.column is None else place.column + max(offset, 0)
        return replace(fault, file=place.file, line=place.line, column=column)

    def place(self, key: str, text: str) -> Place | None:
        """Return where a value of a setting was written, or None if it was not."""
        values = [value for setting in self.written.get(key, ()) if setting.range is None for value in setting.values]
        exact = [value for value in values if value.text == text]
        exact += [point[key] for point in self.points if key in point and point[key].text == text]
        ranges = [setting.range for setting in self.written.get(key, ()) if setting.range is not None]
        ends = [end for each in ranges for end in (each.low, each.high) if _is_number(end.text, text)]
        found = next(iter([*exact, *ends, *(each.whole for each in ranges)]), None)
        return None if found is None else found.place


def keys_of(dimension: Dimension) -> tuple[str, ...]:
    """Return the settings that a dimension varies."""
    values = dimension.values
    if isinstance(values, Interval):
        return (values.key,)
    return tuple(dict.fromkeys(key for option in values.options for key in option))


def _is_number(written: str, text: str) -> bool:
    try:
        return float(written) == float(text)
    except ValueError:
        return False
