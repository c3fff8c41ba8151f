"""Hold the steps of one lane of a study, with their results as far as they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recrun.sweep.row import Row
from recrun.sweep.schedules.schedule import Result, Step
from recrun.sweep.schedules.window import Window, n_results_of
from recrun.sweep.search.sampler import Told
from recrun.sweep.step_results import result_of

if TYPE_CHECKING:
    from recrun.sweep.ledger import Ledger


class LaneSteps:
    """The steps that were decided in one lane of a study, with the results that are known.

    Args:
        number: the number of the lane.
        ledger: the sweep.
    """

    def __init__(self, number: int, ledger: Ledger) -> None:
        self.plan = ledger.plan.lanes[number]
        self.n_points = self.plan.n_points
        if self.plan.schedule is None:
            raise RuntimeError(f"lane {number} has no schedule")
        self.schedule = self.plan.schedule
        self.steps: list[Step] = []
        self.results: list[Result | None] = []
        self.draws: list[Mapping[str, int | float]] = []
        self._ledger = ledger

    def accepts(self, step: Step, *, begins: bool) -> bool:
        """Return whether a step can follow the others: of a point that was begun, or of the next one."""
        return step.repeat < len(self.plan.repeats) and (
            step.point == len(self.draws) if begins else step.point < len(self.draws)
        )

    def open_steps(self, row: Row) -> list[int]:
        """Return the numbers of a trial's steps whose results are not known."""
        steps = enumerate(self.steps)
        return [number for number, step in steps if self.results[number] is None and self.row(step) is row]

    def row(self, step: Step) -> Row:
        """Return the trial of a step."""
        return self._ledger.row_of(self.plan.number, step.point, step.repeat)

    def result(self, step: Step) -> Result | None:
        """Read the result of a step, or None if its trial has not come that far."""
        plan, row = self._ledger.plan, self.row(step)
        if row.is_impossible:
            return Result(None, 0, is_finished=True)
        return result_of(row.run, plan.which4best, plan.sign, step)

    def told(self, generation: int) -> list[Told]:
        """Return the points drawn so far with the values that a draw may depend on."""
        latest: dict[int, dict[int, Result | None]] = {point: {} for point in range(len(self.draws))}
        for past in Window(self.steps, self.results, n_results_of(len(self.steps), generation)):
            latest[past.step.point][past.step.repeat] = past.result
        return [self._told(point, results) for point, results in latest.items()]

    def _told(self, point: int, results: Mapping[int, Result | None]) -> Told:
        known = [result for result in results.values() if result is not None]
        if not results or len(known) < len(results):
            return Told(self.draws[point])
        rows = [self._ledger.row_of(self.plan.number, point, repeat) for repeat in results]
        values = self._ledger.criteria_of(rows, known)
        return Told(self.draws[point], values, has_failed=values is None)
