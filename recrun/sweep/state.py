"""Hold the state of a sweep in memory: its trials, how far they are, and which point is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from recrun.sweep.pareto import pareto_points
from recrun.sweep.planning.study import Plan, Trial
from recrun.sweep.points import Standing, Values, rank, standing
from recrun.sweep.row import DONE, FAILED, INTERRUPTED, PAUSED, PENDING, PRUNED, RUNNING, Row
from recrun.sweep.schedules.schedule import Result
from recrun.sweep.storage import SWEEPS
from recrun.sweep.trial_results import run_folder


class State:
    """The trials of a sweep and what is known of them.

    Args:
        plan: the sweep.
        runs: the root of all run folders.

    Attributes:
        is_over_time: whether it ended because its time was up.
        further: the status of what is still to be decided, of points not begun too; None if nothing is.
        importance: how much each setting matters, once it has ended; see `recrun.sweep.importance.findings`.
    """

    def __init__(self, plan: Plan, runs: Path) -> None:
        self.plan = plan
        self.runs = runs
        self.folder = runs / SWEEPS / plan.name
        self.rows: list[Row] = []
        self.is_over_time = False
        self.further: str | None = PENDING if plan.adapts else None
        self.importance: Mapping[str, Any] | None = None
        self._by_index: dict[int, Row] = {}
        self._by_place: dict[tuple[int, int, int], Row] = {}
        for trial in plan.trials:
            self.add(trial)

    def add(self, trial: Trial) -> Row:
        """Add a trial, in the order of their numbers, and return its row."""
        row = Row(trial, trial.id, run_folder(self.runs, trial.config, trial.id))
        self.rows.append(row)
        if len(self.rows) > 1 and self.rows[-2].trial.index > trial.index:
            self.rows.sort(key=lambda each: each.trial.index)
        self._by_index[trial.index] = row
        self._by_place[trial.lane, trial.point, trial.repeat] = row
        return row

    def row(self, index: int) -> Row:
        """Return the trial with a number."""
        return self._by_index[index]

    def row_of(self, lane: int, point: int, repeat: int) -> Row:
        """Return a trial by its lane, the number of its point there, and that of its seed or fold."""
        return self._by_place[lane, point, repeat]

    @property
    def split(self) -> str:
        """The part whose numbers the sweep reports: validation if it chooses, else test."""
        return "test" if self.plan.is_tested else "valid"

    def numbers(self, row: Row) -> Values:
        """Return the metrics of a trial that the sweep reports; none until it is done, or paused somewhere."""
        return (row.test if self.plan.is_tested else row.valid) or {}

    def standings(self) -> list[Standing]:
        """Return the points with the means of their trials, ranked as `recrun.sweep.points.rank` does."""
        return rank([self._standing(index) for index in range(len(self.plan.points))], self.plan.which4best)

    def _standing(self, number: int) -> Standing:
        point = self.plan.points[number]
        rows = [self.row(index) for index in point.trials]
        done = [self.numbers(row) for row in rows if row.status == DONE]
        partial = [row for row in rows if row.status in (PAUSED, PRUNED) and row.reached is not None]
        if done or not partial:
            return standing(point, done)
        reached = min(row.reached or 0 for row in partial)
        return standing(point, [self.numbers(row) for row in partial], n_done=0, reached=reached)

    def ranked(self) -> list[Row]:
        """Return the rows by their points, best first; then the rows that are not done, by status."""
        places = {index: place for place, each in enumerate(self.standings()) for index in each.point.trials}
        order = [DONE, PRUNED, PAUSED, RUNNING, PENDING, INTERRUPTED, FAILED]
        return sorted(self.rows, key=lambda row: (order.index(row.status), places[row.trial.index]))

    @property
    def best_point(self) -> Standing | None:
        """The best point so far; None if nothing is chosen, or if points are of different data."""
        return self.best_of(self.standings())

    def best_of(self, standings: Sequence[Standing]) -> Standing | None:
        """Return the best of ranked points; None if nothing is chosen, or if points are of different data."""
        if not standings or self.plan.n_data > 1 or len(self.plan.criteria) > 1:
            return None
        first = standings[0]
        return first if first.point.choices and first.is_complete else None

    def front_of(self, standings: Sequence[Standing]) -> list[Standing]:
        """Return the points that none other beats by all criteria, in the order given."""
        return pareto_points(standings, self.plan.criteria, self.plan.smaller_is_better)

    @property
    def best(self) -> int | None:
        """The number of the best trial so far, or None; trials that differ in seeds or folds alone are not ranked."""
        best = self.best_point
        return best.point.trials[0] if best is not None and len(best.point.trials) == 1 else None

    @property
    def status(self) -> str:
        """The status of the sweep as a whole."""
        found = {row.status for row in self.rows} | ({self.further} if self.further is not None else set())
        return next((each for each in (RUNNING, PENDING, PAUSED, INTERRUPTED, FAILED) if each in found), DONE)

    def criteria_of(self, rows: Sequence[Row], results: Sequence[Result]) -> tuple[float, ...] | None:
        """Return the mean of each criterion over the trials of a point; None if one of them failed or has no value.

        Args:
            rows: the trials.
            results: what their last steps came to.
        """
        if len(self.plan.criteria) > 1:
            found = [[self.numbers(row).get(name) for row in rows] for name in self.plan.criteria]
        else:
            found = [[None if each.value is None else self.plan.sign * each.value for each in results]]
        means = [fmean(value for value in values if value is not None) for values in found if None not in values]
        return tuple(means) if len(means) == len(found) else None
