"""Parse a sweep's arguments: `KEY=V1,V2` is an axis, `KEY=VALUE` a setting that all trials share.

A comma separates two values unless it stands inside `[...]`, `{...}` or quotes, so lists and quoted text are single
values. `1..5` stands for the integers from 1 to 5. Values are kept as written text; the config layer gives them their
types.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from recrun.errors import Fault

MAX_VALUES: Final = 10_000
"""The most values that a range may stand for."""

_CLOSING: Final = {"[": "]", "{": "}"}
_RANGE: Final = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")


@dataclass(frozen=True)
class Value:
    """One value as written.

    Args:
        text: the value, without surrounding whitespace.
        column: where it begins in its argument, counted from 1.
    """

    text: str
    column: int


@dataclass(frozen=True)
class Setting:
    """One `KEY=...` argument.

    Args:
        key: the setting's name.
        values: one value, or several for an axis.
        position: the argument's position among the `KEY=...` arguments, counted from 1.
    """

    key: str
    values: tuple[Value, ...]
    position: int

    @property
    def is_axis(self) -> bool:
        """Whether the setting has several values."""
        return len(self.values) > 1

    def fault(self, message: str, column: int | None = None) -> Fault:
        """Return a fault at this argument."""
        return Fault(message, key=self.key, file=_place(self.position), column=column)


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
    """Read a sweep's `KEY=...` arguments.

    Args:
        arguments: the arguments as the shell passed them.

    Returns:
        The grid of all arguments that could be parsed, and every fault in the others.

    >>> grid, faults = parse_grid(["lr=1e-3,1e-4", "monitors=[recall@10,ndcg@10]"])
    >>> [[value.text for value in trial] for trial in grid]
    [['1e-3', '[recall@10,ndcg@10]'], ['1e-4', '[recall@10,ndcg@10]']]
    """
    settings: dict[str, Setting] = {}
    faults: list[Fault] = []
    for position, argument in enumerate(arguments, start=1):
        key, equals, text = argument.partition("=")
        if not equals or not key.isidentifier():
            faults.append(Fault(f"expected KEY=VALUE or KEY=V1,V2, found {argument!r}", file=_place(position)))
            continue
        values, found = _read_values(text, Setting(key, (), position), len(key) + 2)
        faults += found
        if key in settings:
            message = f"is given twice, as arguments {settings[key].position} and {position}; give it once"
            faults.append(Setting(key, (), position).fault(message, 1))
        elif values:
            settings[key] = Setting(key, tuple(values), position)
    return Grid(tuple(settings.values())), faults


def _read_values(text: str, setting: Setting, first_column: int) -> tuple[list[Value], list[Fault]]:
    """Return the values of one argument and what is wrong with them."""
    pieces, fault = _split(text)
    if fault is not None:
        message, offset = fault
        return [], [setting.fault(message, first_column + offset)]
    values: dict[str, Value] = {}
    faults = []
    for number, (offset, piece) in enumerate(pieces, start=1):
        stripped = piece.strip()
        value = Value(stripped, first_column + offset + len(piece) - len(piece.lstrip()))
        if not stripped and len(pieces) > 1:
            message = f"value {number} of {len(pieces)} is empty; write '' for empty text, null for none"
            faults.append(setting.fault(message, value.column))
            continue
        expanded, problem = _expand(stripped)
        problem = problem or next((f"the value {text} is given twice" for text in expanded if text in values), "")
        if problem:
            faults.append(setting.fault(problem, value.column))
        values |= {text: Value(text, value.column) for text in expanded if text not in values}
    return list(values.values()), faults


def _expand(text: str) -> tuple[list[str], str]:
    """Return the values that a text stands for, and what is wrong with it: the integers of a range `1..5`, or itself.

    >>> _expand("1..3"), _expand("0.5")
    ((['1', '2', '3'], ''), (['0.5'], ''))
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        return [text], ""
    first, last = int(match[1]), int(match[2])
    if last < first:
        return [], f"the range {text} is empty: expected FIRST..LAST with FIRST <= LAST"
    if last - first >= MAX_VALUES:
        return [], f"the range {text} has {last - first + 1:,} values; at most {MAX_VALUES:,} are accepted"
    return [str(value) for value in range(first, last + 1)], ""


@dataclass
class _Scanner:
    """The scanner's state within a value: the open quote and the open brackets."""

    quote: str = ""
    opened_at: int = 0
    brackets: list[tuple[str, int]] = field(default_factory=list)
    at_start: bool = True


def _split(text: str) -> tuple[list[tuple[int, str]], tuple[str, int] | None]:
    """Split at the commas that separate values.

    As in YAML, a quote opens quoted text only where a value begins, so the apostrophe of `it's` is plain text.

    Returns:
        The pieces with their offsets, and None; or an empty list, and a message with the offset of the fault.
    """
    scanner = _Scanner()
    cuts = []
    offset = 0
    while offset < len(text):
        character = text[offset]
        if scanner.quote:
            offset += _quoted(text, offset, scanner)
            continue
        if character in "'\"" and scanner.at_start:
            scanner.quote, scanner.opened_at = character, offset
        elif character in _CLOSING:
            scanner.brackets.append((character, offset))
        elif character in _CLOSING.values():
            if not scanner.brackets or _CLOSING[scanner.brackets[-1][0]] != character:
                return [], (
                    f"{character!r} has no matching opening bracket; put the value in quotes if it is text",
                    offset,
                )
            scanner.brackets.pop()
        elif character == "," and not scanner.brackets:
            cuts.append(offset)
        opens = character in ",[{" or (character == ":" and bool(scanner.brackets))
        scanner.at_start = opens or (scanner.at_start and character.isspace())
        offset += 1
    if scanner.quote:
        return [], (f"the quote {scanner.quote} is not closed", scanner.opened_at)
    if scanner.brackets:
        bracket, opened_at = scanner.brackets[-1]
        return [], (f"{bracket!r} is not closed; put the value in quotes if it is text", opened_at)
    starts = [0, *(cut + 1 for cut in cuts)]
    return [(start, text[start:end]) for start, end in zip(starts, [*cuts, len(text)], strict=True)], None


def _quoted(text: str, offset: int, scanner: _Scanner) -> int:
    """Process the character at `offset` inside quotes; return how many characters were consumed."""
    character = text[offset]
    if scanner.quote == '"' and character == "\\":
        return 2
    if character == scanner.quote:
        if character == "'" and text[offset + 1 : offset + 2] == "'":
            return 2
        scanner.quote, scanner.at_start = "", False
    return 1


def _place(position: int) -> str:
    return f"argument {position}"
