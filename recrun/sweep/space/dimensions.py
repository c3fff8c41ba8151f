"""Define the space of a sweep: its dimensions, and the settings that a draw from it stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from recrun.config.yaml_writer import dump_value

Draw: TypeAlias = Mapping[str, "int | float"]
"""By the name of each dimension that applies: the position of an option, or a number from an interval."""


@dataclass(frozen=True)
class Options:
    """Values without an order.

    Args:
        options: the settings of each option as `KEY=VALUE` texts, `({"lr": "1e-3"}, {"lr": "1e-4"})`; several keys
            where they vary together.
    """

    options: tuple[Mapping[str, str], ...]

    def settings(self, value: float) -> dict[str, str]:
        """Return the settings of the option at a position."""
        return dict(self.options[int(value)])

    def all_values(self) -> Sequence[int]:
        """Return the positions of all options, in order."""
        return range(len(self.options))

    def ends(self) -> Sequence[int]:
        """Return the values that stand for all: without an order, each of them."""
        return self.all_values()

    def contains(self, value: Any) -> bool:
        """Return whether something is the position of an option."""
        return type(value) is int and 0 <= value < len(self.options)


@dataclass(frozen=True)
class Interval:
    """The numbers from `low` to `high`, both included.

    Args:
        key: the setting.
        low: the smallest value.
        high: the largest value.
        step: the distance between values, counted from `low`; None for any number in between.
        log: whether values are equally likely on a logarithmic scale.
        is_integer: whether values are integers.
    """

    key: str
    low: float
    high: float
    step: float | None = None
    log: bool = False
    is_integer: bool = False

    @property
    def n_values(self) -> int | None:
        """How many values there are, or None if they cannot be counted."""
        if self.low == self.high:
            return 1
        step = self._step
        return None if step is None else math.floor((self.high - self.low) / step * (1 + 1e-12) + 1e-9) + 1

    @property
    def _step(self) -> float | None:
        return 1 if self.is_integer and self.step is None else self.step

    def value(self, number: float) -> float:
        """Return the value that stands for a number between `low` and `high`: the nearest one in text that is short."""
        if self.step is not None:
            position = round((number - self.low) / self.step)
            number = self.low + self.step * min(max(position, 0), (self.n_values or 1) - 1)
        if self.is_integer:
            return round(min(max(number, self.low), self.high))
        return min(max(float(f"{number:.6g}"), self.low), self.high)

    def at(self, share: float) -> float:
        """Return the value at a share of the interval, from 0 to 1; equal shares are equally likely."""
        share = min(max(share, 0.0), math.nextafter(1.0, 0.0))
        if self.log:
            low, high = (self.low - 0.5, self.high + 0.5) if self.is_integer else (self.low, self.high)
            return self.value(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
        if (count := self.n_values) is not None:
            return self.value(self.low + (self._step or 0) * math.floor(share * count))
        return self.value(self.low + share * (self.high - self.low))

    def all_values(self) -> Iterator[float]:
        """Yield the values in ascending order; none if they cannot be counted."""
        yield from (self.value(self.low + (self._step or 0) * position) for position in range(self.n_values or 0))

    def ends(self) -> Sequence[float]:
        """Return the values that stand for all: the smallest and the largest."""
        return (self.low, self.high)

    def settings(self, value: float) -> dict[str, str]:
        """Return the setting of a value."""
        return {self.key: dump_value(int(value) if self.is_integer else value)}

    def contains(self, value: Any) -> bool:
        """Return whether something is a number between the ends, of the type of the interval."""
        return type(value) in ((int,) if self.is_integer else (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class Dimension:
    """One thing that varies.

    Args:
        name: its key, or its keys with commas where several vary together.
        values: what it varies over.
        when: the dimension and the position of its option under which this one applies, or None if it always does.
    """

    name: str
    values: Options | Interval
    when: tuple[str, int] | None = None


@dataclass(frozen=True)
class Space:
    """The dimensions of a sweep; one that depends on another comes after it."""

    dimensions: tuple[Dimension, ...] = ()

    def applies(self, dimension: Dimension, draw: Draw) -> bool:
        """Return whether a dimension applies where the earlier ones are drawn as in `draw`."""
        return dimension.when is None or draw.get(dimension.when[0]) == dimension.when[1]

    def under(self, draw: Draw) -> Space:
        """Return the dimensions that apply where dimensions of another space, on which some depend, are drawn so.

        Args:
            draw: the draw of the other space.
        """
        kept: dict[str, Dimension] = {}
        for each in self.dimensions:
            if each.when is None or each.when[0] in kept:
                kept[each.name] = each
            elif draw.get(each.when[0]) == each.when[1]:
                kept[each.name] = replace(each, when=None)
        return Space(tuple(kept.values()))

    def settings(self, draw: Draw) -> dict[str, str]:
        """Return the settings that a draw stands for, as `KEY=VALUE` texts."""
        found: dict[str, str] = {}
        for dimension in self.dimensions:
            if dimension.name in draw:
                found |= dimension.values.settings(draw[dimension.name])
        return found

    def contains(self, draw: Any) -> bool:
        """Return whether something is a draw: a value of each dimension that applies, and no others."""
        if not isinstance(draw, Mapping):
            return False
        applying = [each for each in self.dimensions if self.applies(each, draw)]
        return draw.keys() == {each.name for each in applying} and all(
            each.values.contains(draw[each.name]) for each in applying
        )

    def first_draw(self, given: Draw | None = None) -> Draw:
        """Return a draw with given values, and the first ones of all other dimensions that apply."""
        known = given or {}
        draw: dict[str, int | float] = {}
        for dimension in self.dimensions:
            if self.applies(dimension, draw):
                draw[dimension.name] = known.get(dimension.name, dimension.values.ends()[0])
        return draw

    def draws_at_ends(self, dimension: Dimension) -> Iterator[Draw]:
        """Yield draws with each option, or both ends, of a dimension, where it applies; others at their first value."""
        by_name = {each.name: each for each in self.dimensions}
        condition: dict[str, int] = {}
        under = dimension.when
        while under is not None:
            condition[under[0]] = under[1]
            under = by_name[under[0]].when
        for value in dimension.values.ends():
            yield self.first_draw({**condition, dimension.name: value})

    def described(self) -> list[list[Any]]:
        """Return the dimensions as lists for JSON, which differ if the spaces do."""
        found: list[list[Any]] = []
        for each in self.dimensions:
            values = each.values
            if isinstance(values, Options):
                what: Any = [dict(option) for option in values.options]
            else:
                what = [values.key, values.low, values.high, values.step, values.log, values.is_integer]
            found.append([each.name, what, each.when])
        return found

    @property
    def is_countable(self) -> bool:
        """Whether all values can be counted, so that a grid can go through them."""
        return all(isinstance(each.values, Options) or each.values.n_values is not None for each in self.dimensions)

    @property
    def n_points(self) -> int | None:
        """How many points a grid of it has, or None if they cannot be counted."""
        return self._count(None) if self.is_countable else None

    def _count(self, under: tuple[str, int] | None) -> int:
        """Return the number of ways to draw the dimensions that depend on an option, and those that depend on these."""
        total = 1
        for dimension in self.dimensions:
            if dimension.when == under:
                if isinstance(dimension.values, Options):
                    options = range(len(dimension.values.options))
                    total *= sum(self._count((dimension.name, option)) for option in options)
                else:
                    total *= dimension.values.n_values or 1
        return total

    def grid(self) -> Iterator[dict[str, int | float]]:
        """Yield every draw, row-major: the last dimension varies fastest."""
        yield from self._from(0, {})

    def _from(self, position: int, draw: dict[str, int | float]) -> Iterator[dict[str, int | float]]:
        if position == len(self.dimensions):
            yield dict(draw)
            return
        dimension = self.dimensions[position]
        if not self.applies(dimension, draw):
            yield from self._from(position + 1, draw)
            return
        for value in dimension.values.all_values():
            yield from self._from(position + 1, {**draw, dimension.name: value})
