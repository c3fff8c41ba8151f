"""Tell what a column of values looks like: dates, times, coordinates, whole numbers, text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np

from recrun.data.formats.table import Ids, shown
from recrun.data.formats.values.dates import is_date
from recrun.data.formats.values.numbers import is_number
from recrun.data.formats.values.times import UNITS

SAMPLE: Final = 1000
"""Values that are enough to tell dates, numbers and text apart, and few enough to look at one by one."""
MOST: Final = 0.9
"""A column is what nine of ten values are: single faults in it have messages of their own, with their lines."""
ENOUGH: Final = 20
"""With fewer rows, how often values occur tells nothing; only what they are does."""

_EARLIEST: Final = 631_152_000
_LATEST: Final = 2_208_988_800
"""From 1990 to 2040, in seconds: narrower than what may be read as a time, as ids of 9 or 10 digits are common."""

Kind = Literal["nothing", "dates", "numbers", "text"]


@dataclass(frozen=True, eq=False)
class Look:
    """What a column looks like.

    Args:
        kind: what most of its values are.
        column: the value of each row, or its code (N,).
        numbers: some of the values of a column of numbers, spread over it.
        n_known: how many values differ, where that is known already.
        example: a value.
        n_empty: how many values of the sample are empty.
        is_padded: whether numbers begin with zeros, as ids do and times do not.
        shapes: distinct values of a column of text, for what their shape tells.
    """

    kind: Kind
    column: np.ndarray
    numbers: np.ndarray
    n_known: int | None = None
    example: str = ""
    n_empty: int = 0
    is_padded: bool = False
    shapes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        """How many values there are."""
        return len(self.column)

    @cached_property
    def codes(self) -> np.ndarray:
        """The number of each row's value, counted from 0, int64 (N,); takes as long as sorting the column."""
        if self.n_known is not None:
            return self.column.astype(np.int64)
        return np.unique(self.column, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def n_distinct(self) -> int:
        """How many values differ."""
        return self.n_known if self.n_known is not None else int(self.codes.max(initial=-1)) + 1

    @cached_property
    def are_whole(self) -> bool:
        """Whether it holds whole numbers."""
        return self.kind == "numbers" and float((self.numbers == np.floor(self.numbers)).mean()) >= MOST

    @cached_property
    def unit(self) -> str | None:
        """The unit of what may be times from 1990 to 2040, or None."""
        if not self.are_whole or self.is_padded:
            return None
        for unit, scale in UNITS.items():
            within = (self.numbers >= _EARLIEST * scale) & (self.numbers < _LATEST * scale)
            # Numbers of 19 digits are as often ids; as nanoseconds they were made of coarser times.
            if float(within.mean()) >= 0.95 and (unit != "nanoseconds" or _are_multiples(self.numbers, 1000)):
                return unit
        return None

    @property
    def are_clock_times(self) -> bool:
        """Whether these are surely times rather than ids that happen to be as large.

        Times of a click hardly ever occur twice, where ids do: in MovieLens-1M there are 458,000 times and 3,700 items
        in a million rows. Times that were cut to days are multiples of a day.
        """
        if self.unit is None or self.n_rows < ENOUGH:
            return False
        return self.n_distinct >= 0.2 * self.n_rows or _are_multiples(self.numbers, 86400 * UNITS[self.unit])

    @property
    def are_coordinates(self) -> bool:
        """Whether these are degrees: many digits after the point, and far from the few units of a rating or a share."""
        if self.kind != "numbers" or self.are_whole:
            return False
        long = np.abs(self.numbers * 100 - np.round(self.numbers * 100)) > 1e-3
        sizes = np.abs(self.numbers)
        return bool(long.mean() >= 0.5 and sizes.max() <= 180 and np.median(sizes) > 10)

    @property
    def are_days(self) -> bool:
        """Whether these are days or years written as numbers: 20120403, 201204, 2012."""
        if not self.are_whole:
            return False
        low, high = self.bounds
        years = next((step for step in (1, 100, 10_000) if 1900 * step <= low and high < 2100 * step), 0)
        if years < 100:
            return bool(years)
        months = self.numbers // (years // 100) % 100
        return bool((months >= 1).all() and (months <= 12).all())

    @property
    def are_few_steps(self) -> bool:
        """Whether these may be ratings: at most eleven values, none below 0 or above 10."""
        return self.kind == "numbers" and self.bounds[0] >= 0 and self.bounds[1] <= 10 and self.n_distinct <= 11

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number."""
        return float(self.numbers.min()), float(self.numbers.max())

    def __str__(self) -> str:
        if self.kind == "nothing":
            return "nothing"
        if self.kind in ("dates", "text"):
            return f"{self.kind} such as {shown(self.example, 40)}"
        if self.bounds[0] == self.bounds[1] and self.n_rows > 1:
            return f"always {self.numbers[0]:.12g}"
        what = "whole numbers" if self.are_whole else "coordinates" if self.are_coordinates else "fractions"
        if self.unit is not None:
            what = f"times in {self.unit}"
        return f"{what} from {self.bounds[0]:.12g} to {self.bounds[1]:.12g}"


def look_at(values: Sequence[str]) -> Look:
    """Return what a sample of a column of text looks like."""
    filled = [value.strip() for value in values if value.strip()]
    n_empty = len(values) - len(filled)
    if not filled:
        return Look("nothing", np.zeros(len(values)), np.zeros(0), 0, n_empty=n_empty)
    distinct, codes = np.unique(np.array([value.strip() for value in values]), return_inverse=True)
    numbers = np.array([float(value) for value in filled if is_number(value)])
    kind: Kind = "text"
    if len(numbers) >= MOST * len(filled):
        kind = "numbers"
    elif sum(map(is_date, filled)) >= MOST * len(filled):
        kind = "dates"
    is_padded = any(value[:1] == "0" != value and value.isdecimal() for value in filled)
    shapes = tuple(str(value) for value in distinct if value)
    return Look(kind, codes, numbers, len(shapes), filled[0], n_empty, is_padded, shapes)


def look_at_ids(ids: Ids) -> Look:
    """Return what a whole column of ids looks like: of text by a sample of the distinct ones."""
    n_distinct = len(ids.names)
    sample = ids.names[:: max(1, n_distinct // SAMPLE)]
    if ids.are_integers:
        return Look("numbers", ids.codes, sample, n_distinct)
    return replace(look_at(sample.tolist()), column=ids.codes, n_known=n_distinct)


def look_at_numbers(values: np.ndarray, *, are_dates: bool = False) -> Look:
    """Return what a whole column of finite numbers looks like."""
    sample = values[:: max(1, len(values) // (100 * SAMPLE))]
    return Look("dates" if are_dates else "numbers", values, sample)


def _are_multiples(numbers: np.ndarray, step: int) -> bool:
    return bool((numbers % step == 0).all())
