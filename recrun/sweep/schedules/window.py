"""Decide the next step of a study from the results that it may depend on.

Step number j is decided from the steps before it and from the results of the first j + 1 - G of them alone, G being the
size of a generation: up to G steps run at once. Where a schedule cannot decide from these, it is asked again with one
result more, and so on. The number of results that a decision is made from is therefore the smallest that suffices,
whatever else is known by then; so decisions depend on neither time nor on how many trials run at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Result, Schedule, Step


def decide(
    schedule: Schedule, steps: Sequence[Step], results: Sequence[Result | None], generation: int, n_points: int
) -> Decision:
    """Return the next step, `WAIT` or `END`.

    Args:
        schedule: what decides.
        steps: all earlier steps, in order.
        results: the result of each, None while it is not known.
        generation: how many steps may run at once, >= 1. A schedule that does not adapt may run any number.
        n_points: how many points there may be.
    """
    n_known = n_results_of(len(steps), generation) if schedule.adapts else 0
    if any(result is None for result in results[:n_known]):
        return WAIT
    while True:
        decision = schedule.next(Window(steps, results, n_known), n_points)
        if decision != WAIT:
            return decision
        if n_known == len(steps):
            return END  # Nothing is left to wait for.
        if results[n_known] is None:
            return WAIT
        n_known += 1


class Window(Sequence[Past]):
    """The steps before a decision with the results that it may depend on; made without copying them.

    Args:
        steps: all earlier steps, in order.
        results: the result of each.
        n_known: how many results it may depend on.
    """

    def __init__(self, steps: Sequence[Step], results: Sequence[Result | None], n_known: int) -> None:
        self._steps = steps
        self._results = results
        self._n_known = n_known

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Past: ...
    @overload
    def __getitem__(self, index: slice) -> list[Past]: ...
    def __getitem__(self, index: int | slice) -> Past | list[Past]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        number = range(len(self._steps))[index]
        return Past(self._steps[number], self._results[number] if number < self._n_known else None)

    def __iter__(self) -> Iterator[Past]:
        for number, step in enumerate(self._steps):
            yield Past(step, self._results[number] if number < self._n_known else None)


def n_results_of(n_steps: int, generation: int) -> int:
    """Return how many results must be known before the next step can be decided.

    Args:
        n_steps: the number of earlier steps.
        generation: how many steps may run at once, >= 1.
    """
    return max(0, n_steps + 1 - generation)
