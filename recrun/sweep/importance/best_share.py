"""Say what the best points of a sweep have in common, against all of its points."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from recrun.sweep.importance.columns import is_number, names_of

LEAST_POINTS: Final = 8
"""With fewer, the best quarter is one point."""
_SHARE: Final = 0.25


@dataclass(frozen=True)
class Range:
    """The numbers of a setting among some points.

    Args:
        low: the least.
        median: the middle one.
        high: the largest.
        n: how many points have the setting.
    """

    low: float
    median: float
    high: float
    n: int


@dataclass(frozen=True)
class Shared:
    """A setting among the best points and among all.

    Args:
        setting: its name.
        best: its numbers among the best points; None for other values, or if none of these has it.
        all: its numbers among all points.
        counts: for other values, how many of the best points and of all have each, the most frequent first.
    """

    setting: str
    best: Range | None
    all: Range | None
    counts: tuple[tuple[Any, int, int], ...] = ()


@dataclass(frozen=True)
class BestQuarter:
    """What the best quarter of the points has in common.

    Args:
        settings: those that vary.
        n_best: how many points the quarter has.
        n: how many points there are.
    """

    settings: tuple[Shared, ...]
    n_best: int
    n: int


def what_best_share(
    settings: Sequence[Mapping[str, Any]], values: Sequence[float], *, falls: bool = False
) -> BestQuarter | str:
    """Return, for each setting, its values among the best quarter of the points and among all, or why not.

    Args:
        settings: those of each point; a point may lack some.
        values: the criterion of each point.
        falls: whether smaller values are better.
    """
    if len(values) < LEAST_POINTS:
        return f"{len(values)} points are too few to tell what the best share; {LEAST_POINTS} are needed"
    order = sorted(range(len(values)), key=lambda place: values[place] if falls else -values[place])
    n_best = math.ceil(_SHARE * len(values))
    best = [settings[place] for place in order[:n_best]]
    varied = [name for name in names_of(settings) if len({repr(each.get(name, ...)) for each in settings}) > 1]
    found = [_shared(name, best, settings) for name in varied]
    return BestQuarter(tuple(found), n_best, len(values)) if found else "no setting has two values"


def _shared(name: str, best: Sequence[Mapping[str, Any]], every: Sequence[Mapping[str, Any]]) -> Shared:
    of_best, of_all = ([each[name] for each in points if name in each] for points in (best, every))
    if all(is_number(value) for value in of_all):
        return Shared(name, _range(of_best), _range(of_all))
    known = {repr(value): value for value in of_all}
    in_best, in_all = (Counter(map(repr, values)) for values in (of_best, of_all))
    counts = [(known[key], in_best[key], n) for key, n in in_all.items()]
    return Shared(name, None, None, tuple(sorted(counts, key=lambda each: -each[1])))


def _range(values: Sequence[float]) -> Range | None:
    return Range(min(values), statistics.median(values), max(values), len(values)) if values else None
