"""Format the numbers of a comparison, with as many decimals for a metric in all of its places."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from recrun.compare.comparison import Comparison, Number

_LEAST_P = 1e-4
_LARGE = 1e7
"""Larger numbers are written with a power of ten."""


@dataclass(frozen=True)
class Figures:
    """Formats the numbers of one metric.

    Args:
        decimals: the digits after the point.
    """

    decimals: int

    @classmethod
    def of(cls, comparison: Comparison, metric: str) -> Figures:
        """Return the format in which the largest mean has four digits, and four decimals for the usual metrics."""
        return cls(_decimals(group.mean.get(metric) for group in comparison.groups))

    def number(self, value: Number, *, signed: bool = False) -> str:
        """Format a number, "-" for none.

        >>> Figures(4).number(0.15537), Figures(4).number(0.15537, signed=True), Figures(1).number(None)
        ('0.1554', '+0.1554', '-')
        """
        if value is None:
            return "-"
        if abs(value) >= _LARGE:
            return f"{value:{'+' if signed else ''}.4g}"
        rounded = round(value, self.decimals) + 0.0  # turns -0.0 into 0.0
        return f"{rounded:{'+' if signed else ''}.{self.decimals}f}"

    def interval(self, ends: tuple[Number, Number]) -> str:
        """Format an interval, "-" for none.

        >>> Figures(2).interval((-0.254, 0.1))
        '[-0.25, +0.10]'
        """
        if None in ends:
            return "-"
        return f"[{self.number(ends[0], signed=True)}, {self.number(ends[1], signed=True)}]"


def p_text(p: Number) -> str:
    """Format a p value.

    >>> p_text(0.04963), p_text(3e-9), p_text(None)
    ('0.0496', '<1e-4', '-')
    """
    return "-" if p is None else "<1e-4" if p < _LEAST_P else f"{p:.4f}"


def effect_text(effect: Number) -> str:
    """Format an effect size, "-" for none."""
    return "-" if effect is None else f"{effect + 0.0:+.2f}"


def _decimals(values: Iterable[Number]) -> int:
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    if largest == 0 or 0.01 <= largest < 10:
        return 4
    return min(max(3 - math.floor(math.log10(largest)), 0), 9)
