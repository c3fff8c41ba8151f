"""Map values to the axis of a figure, and choose the values that are written along it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_DECADES: Final = 30.0
"""Positive values whose largest is so many times the smallest get a logarithmic axis, where that is allowed."""
_LARGEST: Final = 1e300
"""Larger numbers are drawn at the end of their axis, whose length must be a number too."""
_LARGEST_LOG: Final = 1e150
_SMALLEST: Final = 1e-300


@dataclass(frozen=True)
class Scale:
    """An axis of numbers.

    Args:
        low: the value at its beginning.
        high: the value at its end.
        start: the coordinate of its beginning.
        end: the coordinate of its end.
        is_log: whether it is logarithmic.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def of(
        cls, values: Iterable[float], start: float, end: float, *, may_log: bool = False, has_zero: bool = False
    ) -> Scale:
        """Return an axis for finite values, with a little room on both sides."""
        known = [value for value in values if abs(value) <= _LARGEST] or [0.0, 1.0]
        if has_zero:
            known.append(0.0)
        low, high = min(known), max(known)
        if may_log and 1 / _LARGEST_LOG <= low <= high <= _LARGEST_LOG and high / low >= _DECADES:
            room = (high / low) ** 0.05
            return cls(low / room, high * room, start, end, is_log=True)
        if high / 2 - low / 2 <= _SMALLEST + abs(low) * 1e-12:
            margin = abs(low) * 0.1 if abs(low) > _SMALLEST else 1.0
        else:
            margin = (high / 2 - low / 2) * 0.08
        return cls(
            low if has_zero and low == 0 else low - margin,
            high if has_zero and high == 0 else high + margin,
            start,
            end,
        )

    def __call__(self, value: float) -> float:
        """Return the coordinate of a value; one that lies outside of the axis is put at its end."""
        value = min(max(value, self.low), self.high)
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low / 2, self.high / 2)
        place = math.log(value) if self.is_log else value / 2  # halves, since a difference may be too large a number
        return self.start + (place - low) / (high - low) * (self.end - self.start) if high > low else self.start

    def marks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return the coordinates of the ticks, and their texts."""
        return [(self(value), label) for value, label in self.ticks(most)]

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return the values written along the axis, and their texts."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / most))
            found = [10.0**power for power in range(first, last + 1, stride)]
            found = found if len(found) > 1 else [self.low, self.high]
            return [(value, as_text(value)) for value in found]
        step = _step(self.high / most - self.low / most)
        begin = math.ceil(self.low / step)
        count = math.floor(self.high / step + 1e-9) - begin + 1
        values = [(begin + place) * step for place in range(max(count, 0))]
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        is_plain = decimals <= 6 and max(map(abs, (self.low, self.high))) < 1e6
        return [(value, f"{value + 0.0:.{decimals}f}" if is_plain else f"{value:.3g}") for value in values]


def as_text(value: float) -> str:
    """Return a number as a text for a figure.

    >>> as_text(0.001), as_text(1e-05), as_text(20.0), as_text(0.123456)
    ('0.001', '1e-05', '20', '0.1235')
    """
    return f"{value:.4g}"


def number_of(value: object) -> float | None:
    """Return a setting as a number of an axis, None if it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
    return None


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Return at most so many points: of each stretch of them the smallest and the largest value, so that peaks stay.

    Args:
        points: pairs of a position, ascending, and a value.
        most: how many points are kept, at least 4.
    """
    if len(points) <= most:
        return list(points)
    n_stretches = (most - 2) // 2
    inner = points[1:-1]
    found = [points[0]]
    for stretch in range(n_stretches):
        part = inner[len(inner) * stretch // n_stretches : len(inner) * (stretch + 1) // n_stretches]
        if part:
            ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
            found += sorted(ends)
    return [*found, points[-1]]


def _step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below a number."""
    if not least > 0 or not math.isfinite(least):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least * (1 - 1e-9)), 10 * power)
