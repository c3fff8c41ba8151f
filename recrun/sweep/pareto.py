"""Find the points that no other point beats in every criterion: the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence

from recrun.sweep.points import Standing


def pareto_front(values: Sequence[Sequence[float | None] | None], smaller_is_better: Sequence[bool]) -> list[int]:
    """Return the positions of the points on the Pareto front, in ascending order.

    A point dominates another if it is at least as good by every criterion and better by one. The front holds the points
    that none dominates; of equal points it holds all or none. A point that lacks a value is not compared.

    *Source:* Deb et al. (2002), A fast and elitist multiobjective genetic algorithm: NSGA-II, section III.

    Args:
        values: the value of each criterion for each point, or None for a point without values; NaN is no value.
        smaller_is_better: for each criterion.

    >>> pareto_front([(0.3, 10.0), (0.2, 5.0), (0.1, 7.0), (0.3, None)], smaller_is_better=[False, True])
    [0, 1]
    """
    costs: list[tuple[tuple[float, ...], int]] = []
    for position, point in enumerate(values):
        known = [value for value in point or () if value is not None and not math.isnan(value)]
        if known and len(known) == len(smaller_is_better):
            signed = zip(known, smaller_is_better, strict=True)
            costs.append((tuple(value if smaller else -value for value, smaller in signed), position))
    # A point that dominates another comes before it in this order, and what it dominates is dominated by the front too.
    costs.sort()
    front: list[tuple[tuple[float, ...], int]] = []
    for cost, position in costs:
        if not any(_dominates(other, cost) for other, _ in front):
            front.append((cost, position))
    return sorted(position for _, position in front)


def pareto_points(
    standings: Sequence[Standing], criteria: Sequence[str], smaller_is_better: Sequence[bool]
) -> list[Standing]:
    """Return the points on the Pareto front of each value of the data axes, in the order given.

    Args:
        standings: the points with their means; those whose trials are not all done are left out.
        criteria: the metrics.
        smaller_is_better: for each of them.
    """
    groups: dict[str, list[int]] = {}
    for position, each in enumerate(standings):
        if each.is_complete:
            groups.setdefault(repr(each.point.data), []).append(position)
    kept = []
    for positions in groups.values():
        values = [[standings[position].mean.get(name) for name in criteria] for position in positions]
        kept += [positions[number] for number in pareto_front(values, smaller_is_better)]
    return [standings[position] for position in sorted(kept)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
