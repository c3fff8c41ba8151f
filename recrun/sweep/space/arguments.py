"""Parse a sweep's arguments: `KEY=V1,V2` and `KEY=LOW..HIGH` vary, `KEY=VALUE` is a setting that all trials share.

A comma separates two values unless it stands inside `[...]`, `{...}` or quotes, so lists and quoted text are single
values. `1..5` stands for the integers from 1 to 5 where values are listed, and for all that lies between where they are
drawn. Values are kept as written text; the config layer gives them their types.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from recrun.config.reading import Place
from recrun.errors import Fault
from recrun.sweep.space.ranges import Range, Value, read_range
from recrun.sweep.space.split_values import split

MAX_VALUES: Final = 10_000
"""The most values that a range may stand for."""


@dataclass(frozen=True)
class Setting:
    """One `KEY=...` argument, or one key of the space of a config.

    Args:
        key: the setting's name.
        values: one value, or several for an axis; those that a range stands for where they can be listed.
        position: the argument's position among the `KEY=...` arguments, counted from 1; 0 for a key of a file.
        range: the range that was written in place of values.
        place: where the key was written; None for an argument.
        branches: for a setting that chooses something, what varies under each of its values, by the value's text.
    """

    key: str
    values: tuple[Value, ...]
    position: int
    range: Range | None = None
    place: Place | None = None
    branches: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict, hash=False)

    @property
    def is_axis(self) -> bool:
        """Whether the setting varies."""
        return len(self.values) > 1 or self.range is not None or any(self.branches.values())

    @property
    def where(self) -> Place:
        """Where its key was written."""
        return self.place or Place(place_of(self.position), None, 1)

    def fault(self, message: str, at: Value | int | None = None, suggestion: str | None = None) -> Fault:
        """Return a fault at this setting: at one of its values, at a column of the argument, or at its key."""
        if isinstance(at, Value):
            return at.place.fault(message, self.key, suggestion)
        if at is None and self.place is not None:
            return self.place.fault(message, self.key, suggestion)
        return Fault(message, self.key, place_of(self.position), column=at, suggestion=suggestion)


@dataclass(frozen=True)
class Grid:
    """The settings of a sweep, in the order given; the grid is the product of its axes."""

    settings: tuple[Setting, ...] = ()

    @property
    def axes(self) -> tuple[Setting, ...]:
        """The settings with several values."""
        return tuple(setting for setting in self.settings if setting.is_axis)

    @property
    def n_trials(self) -> int:
        """The number of grid points; it may be too large to enumerate."""
        return math.prod(len(setting.values) for setting in self.settings)

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        """Yield one value per setting for each trial, row-major: the last axis varies fastest."""
        return itertools.product(*(setting.values for setting in self.settings))


def parse_grid(arguments: Sequence[str]) -> tuple[Grid, list[Fault]]:
    """Read a sweep's `KEY=...` arguments, of which all values can be listed.

    Args:
        arguments: the arguments as the shell passed them.

    Returns:
        The grid of all arguments that could be parsed, and every fault in the others.

    >>> grid, faults = parse_grid(["lr=1e-3,1e-4", "monitors=[recall@10,ndcg@10]"])
    >>> [[value.text for value in trial] for trial in grid]
    [['1e-3', '[recall@10,ndcg@10]'], ['1e-4', '[recall@10,ndcg@10]']]
    """
    settings, faults = parse_settings(arguments)
    faults += [fault for setting in settings if (fault := unlisted(setting)) is not None]
    return Grid(tuple(setting for setting in settings if setting.values)), faults


def parse_settings(arguments: Sequence[str]) -> tuple[list[Setting], list[Fault]]:
    """Read a sweep's `KEY=...` arguments, values and ranges, and return those that could be read and every fault.

    Args:
        arguments: the arguments as the shell passed them.

    >>> settings, faults = parse_settings(["lr=1e-4..1e-2:log", "epochs=20"])
    >>> settings[0].range.log, settings[1].values[0].text, faults
    (True, '20', [])
    """
    settings: dict[str, Setting] = {}
    faults: list[Fault] = []
    for position, argument in enumerate(arguments, start=1):
        key, equals, text = argument.partition("=")
        if not equals or not key.isidentifier():
            faults.append(Fault(f"expected KEY=VALUE or KEY=V1,V2, found {argument!r}", file=place_of(position)))
            continue
        setting = Setting(key, (), position)
        setting, found = _with_values(setting, text, Place(place_of(position), None, len(key) + 2))
        faults += found
        if key in settings:
            message = f"is given twice, as arguments {settings[key].position} and {position}; give it once"
            faults.append(setting.fault(message, 1))
        elif setting.values or setting.range is not None:
            settings[key] = setting
    return list(settings.values()), faults


def unlisted(setting: Setting) -> Fault | None:
    """Return the fault of a range whose values cannot be listed, as a grid must, or None."""
    if setting.range is None or setting.values:
        return None
    count = setting.range.n_values
    if count is not None:
        message = f"the range {setting.range.text} has {count:,} values; at most {MAX_VALUES:,} are accepted"
    elif setting.range.log:
        message = "a grid cannot list a range on a logarithmic scale: write its values, or choose --search random"
    else:
        message = f"a grid needs to know which values: write a step ({setting.range.with_step}) or choose "
        message += "--search random"
    return setting.fault(message, setting.range.whole)


def listed(setting: Setting) -> Setting:
    """Return a setting with the values that its range stands for, where there are not too many."""
    if setting.range is None:
        return setting
    count = setting.range.n_values
    texts = () if count is None or count > MAX_VALUES else setting.range.values()
    values = tuple(replace(setting.range.whole, text=text) for text in texts)
    # A range of one integer is that integer.
    return replace(setting, values=values, range=None if count == 1 else setting.range)


def _with_values(setting: Setting, text: str, place: Place) -> tuple[Setting, list[Fault]]:
    """Return a setting with the values, or the range, of its argument; and what is wrong with them.

    Args:
        setting: the setting.
        text: what stands behind the equals sign.
        place: where that begins.
    """
    pieces, problem = split(text)
    first_column = place.column or 1
    if problem is not None:
        message, offset = problem
        return setting, [setting.fault(message, first_column + offset)]
    values: dict[str, Value] = {}
    faults = []
    for number, (offset, piece) in enumerate(pieces, start=1):
        stripped = piece.strip()
        column = first_column + offset + len(piece) - len(piece.lstrip())
        value = Value(stripped, column, place.file)
        if not stripped and len(pieces) > 1:
            message = f"value {number} of {len(pieces)} is empty; write '' for empty text, null for none"
            faults.append(setting.fault(message, value))
            continue
        found, problems = read_range(value)
        faults += [setting.fault(message, at, suggestion) for message, at, suggestion in problems]
        if problems:
            continue
        if found is not None and len(pieces) == 1:
            return listed(replace(setting, range=found)), faults
        texts, message = ([stripped], "") if found is None else in_a_list(found)
        message = message or next((f"the value {text} is given twice" for text in texts if text in values), "")
        if message:
            faults.append(setting.fault(message, value))
        values |= {text: replace(value, text=text) for text in texts if text not in values}
    return replace(setting, values=tuple(values.values())), faults


def in_a_list(found: Range) -> tuple[list[str], str]:
    """Return the values of a range that stands beside others in a list, and what is wrong with it."""
    if found.n_values is None:
        return [], f"the range {found.text} stands beside other values, so it needs a step ({found.with_step})"
    if found.n_values > MAX_VALUES:
        return [], f"the range {found.text} has {found.n_values:,} values; at most {MAX_VALUES:,} are accepted"
    return found.values(), ""


def place_of(position: int) -> str:
    """Return the name of an argument in faults."""
    return f"argument {position}"
