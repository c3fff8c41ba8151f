"""Read a range, `LOW..HIGH`, `LOW..HIGH:STEP` or `LOW..HIGH:log`, and list the values that it stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from math import isfinite
from typing import Final, TypeAlias

from recrun.config.reading import Place
from recrun.errors import nearest

_NUMBER: Final = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,4})?"
_RANGE: Final = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?::(.*))?")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
LOG: Final = "log"


@dataclass(frozen=True)
class Value:
    """One value as written.

    Args:
        text: the value, without surrounding whitespace.
        column: where it begins in its argument, or in its line, counted from 1.
        file: the file, or "argument N".
        line: the line of the file; None for an argument.
    """

    text: str
    column: int | None
    file: str = ""
    line: int | None = None

    @property
    def place(self) -> Place:
        """Where it was written."""
        return Place(self.file, self.line, self.column)

    def part(self, text: str, offset: int) -> Value:
        """Return a part of it, with its place."""
        return replace(self, text=text, column=None if self.column is None else self.column + offset)


Problem: TypeAlias = tuple[str, Value, "str | None"]
"""What is wrong, where, and what was probably meant."""


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included.

    Args:
        whole: the range as written.
        low: the smallest value.
        high: the largest value, which steps may miss.
        step: the distance between values, counted from `low`; None if there is none, or if it is 1 between integers.
        log: whether values are equally likely on a logarithmic scale.
    """

    whole: Value
    low: Value
    high: Value
    step: Value | None = None
    log: bool = False

    @property
    def text(self) -> str:
        """The range, as an argument has it."""
        step = f":{self.step.text}" if self.step is not None else ""
        return f"{self.low.text}..{self.high.text}{step}{':log' if self.log else ''}"

    @property
    def is_integral(self) -> bool:
        """Whether it is written in integers."""
        written = (self.low, self.high, *((self.step,) if self.step is not None else ()))
        return all(_INTEGER.fullmatch(each.text) for each in written)

    @property
    def n_values(self) -> int | None:
        """How many values it stands for: those of its steps, or its integers; None if they cannot be listed."""
        if self.log or (self.step is None and not self.is_integral):
            return None
        low, high, step = self._numbers()
        return int((high - low) / step) + 1

    @property
    def with_step(self) -> str:
        """The range with a step that divides it, as advice."""
        low, high, _ = self._numbers()
        return f"{self.low.text}..{self.high.text}:{_plain((high - low) / 5)}"

    def values(self) -> list[str]:
        """Return the values that it stands for as texts; `n_values` says how many there are."""
        low, _, step = self._numbers()
        return [_plain(low + step * position) for position in range(self.n_values or 0)]

    def problem(self) -> Problem | None:
        """Return what is wrong with its numbers, or None."""
        for each in (self.low, self.high, *((self.step,) if self.step is not None else ())):
            if not isfinite(float(each.text)):
                return f"{each.text} is too large for a number", each, None
        low, high, step = self._numbers()
        if high < low and self.is_integral:
            return f"the range {self.text} is empty: expected FIRST..LAST with FIRST <= LAST", self.whole, None
        if high < low:
            return f"the range {self.text} is empty: expected LOW..HIGH with LOW < HIGH", self.whole, None
        if high == low and not self.is_integral:
            return f"the range {self.text} holds one value alone; write {self.low.text}", self.whole, None
        if self.log and self.step is not None:
            return "a range on a logarithmic scale has no step; remove one of them", self.step, None
        if self.log and low <= 0:
            message = f"a range on a logarithmic scale begins above 0, found {self.low.text}"
            return message, self.low, None
        if self.step is not None and step <= 0:
            return f"expected a step above 0, found {self.step.text}", self.step, None
        if self.step is not None and step > high - low:
            message = f"the step {self.step.text} is larger than the range {self.low.text}..{self.high.text}"
            return message, self.step, None
        return None

    def _numbers(self) -> tuple[Decimal, Decimal, Decimal]:
        step = Decimal(1) if self.step is None else Decimal(self.step.text)
        return Decimal(self.low.text), Decimal(self.high.text), step


def is_range(text: str) -> bool:
    """Return whether a text is a range, rightly written or not."""
    return _RANGE.fullmatch(text) is not None


def read_range(value: Value) -> tuple[Range | None, list[Problem]]:
    """Return the range that a text is, or None if it is none; and what is wrong with it.

    >>> found, problems = read_range(Value("0..0.5:0.1", 1))
    >>> found.values(), problems
    (['0', '0.1', '0.2', '0.3', '0.4', '0.5'], [])
    """
    match = _RANGE.fullmatch(value.text)
    if match is None:
        return None, []
    found = Range(value, value.part(match[1], 0), value.part(match[2], match.start(2)))
    offset = match.start(3)
    for word in (match[3] or "").split(":") if match[3] is not None else []:
        part = value.part(word, offset)
        offset += len(word) + 1
        if word == LOG and not found.log:
            found = replace(found, log=True)
        elif re.fullmatch(_NUMBER, word) and found.step is None:
            found = replace(found, step=part)
        else:
            message = f"expected LOW..HIGH:STEP or LOW..HIGH:log, found {word!r} behind the colon"
            return None, [(f"{message}; put the value in quotes if it is text", part, nearest(word, [LOG]))]
    problem = found.problem()
    return (found, []) if problem is None else (None, [problem])


def _plain(number: Decimal) -> str:
    """Return a number in the shortest text without trailing zeros.

    >>> _plain(Decimal("0.10")), _plain(Decimal("100")), _plain(Decimal("1E-7"))
    ('0.1', '100', '1e-07')
    """
    if number == number.to_integral_value() and abs(number) < 10**18:
        return str(int(number))
    return repr(float(number))
