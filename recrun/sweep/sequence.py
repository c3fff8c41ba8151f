"""Decide which trial starts next: in a fixed order, or by schedules and samplers, from the results that are known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recrun.errors import ConfigError
from recrun.sweep.journal import entry_of, step_from
from recrun.sweep.lane_steps import LaneSteps
from recrun.sweep.row import DONE, ENDED, FAILED, PAUSED, PENDING, PRUNED, Row
from recrun.sweep.schedules.schedule import Result, Step
from recrun.sweep.schedules.window import decide

if TYPE_CHECKING:
    from recrun.sweep.ledger import Ledger


class Sequence(ABC):
    """Hands out the trials of a study, one after another."""

    @abstractmethod
    def take(self) -> Row | None:
        """Return a trial to start now, or None if none can start before another has ended."""

    @abstractmethod
    def waiting(self) -> list[Row]:
        """Return the trials that are known to start, which an earlier process may have started."""

    @abstractmethod
    def remove(self, row: Row) -> None:
        """Take note that one of these runs already."""

    @abstractmethod
    def ended(self, row: Row) -> None:
        """Take note that a trial has ended, in whatever way."""

    @abstractmethod
    def put_back(self, row: Row) -> None:
        """Hand a trial out again, before all others."""

    @abstractmethod
    def close(self) -> None:
        """Mark the trials that will not go on; called when nothing is left to hand out."""


class FixedOrder(Sequence):
    """The trials of a study that are all known, in their order."""

    def __init__(self, rows: list[Row]) -> None:
        self._waiting = deque(row for row in rows if row.status == PENDING)

    def take(self) -> Row | None:
        """Return the next trial that is not done."""
        return self._waiting.popleft() if self._waiting else None

    def waiting(self) -> list[Row]:
        """Return the trials that are not done."""
        return list(self._waiting)

    def remove(self, row: Row) -> None:
        """Take note that a trial runs already."""
        self._waiting.remove(row)

    def ended(self, row: Row) -> None:
        """Do nothing: the order does not depend on results."""

    def put_back(self, row: Row) -> None:
        """Hand a trial out again, before all others."""
        self._waiting.appendleft(row)

    def close(self) -> None:
        """Do nothing: all trials go on to their ends."""


class Adaptive(Sequence):
    """The trials of a study in the order in which its schedules decide; each decision is in the journal first.

    Args:
        ledger: the sweep, with its journal.
        generation: from how many steps before it on, results are not known to a decision.
    """

    def __init__(self, ledger: Ledger, generation: int) -> None:
        self._ledger = ledger
        self._generation = generation
        self._lanes = [LaneSteps(number, ledger) for number in range(len(ledger.plan.lanes))]
        self._turn = 0
        self._waiting: deque[Row] = deque()
        self._must_wait = False
        for entry in ledger.journal.entries:
            if "step" in entry:
                self._replay(entry)
        for lane in self._lanes:
            self._catch_up(lane)

    def _replay(self, entry: Mapping[str, Any]) -> None:
        number, step = entry.get("lane"), step_from(entry)
        lane = self._lanes[number] if type(number) is int and 0 <= number < len(self._lanes) else None
        is_next = lane is not None and entry["step"] == len(lane.steps)
        if lane is None or step is None or not is_next or not lane.accepts(step, begins="draw" in entry):
            raise ConfigError(f"the journal of the sweep is damaged: no step of this study is {entry}")
        lane.steps.append(step)
        if "draw" in entry:
            lane.draws.append(entry["draw"])

    def _catch_up(self, lane: LaneSteps) -> None:
        """Read the results of all steps, and hand out the trials of those that have none."""
        lane.results = [lane.result(step) for step in lane.steps]
        for step, result in zip(lane.steps, lane.results, strict=True):
            row = lane.row(step)
            row.until, row.floors = step.until, step.floors
            if result is not None:
                self._take_note(row, result)
            elif row.status != DONE:
                row.status = PENDING
            row.was_done = row.status in ENDED or row.status == PAUSED
        # A trial may lack several steps, as when its run was removed; it is trained to the last of them at once.
        lacking = [lane.row(step) for step, result in zip(lane.steps, lane.results, strict=True) if result is None]
        self._waiting += {row.trial.index: row for row in lacking if row.status == PENDING}.values()

    def take(self) -> Row | None:
        """Return a trial whose step is decided but not carried out, or that of the next decision."""
        if self._waiting:
            return self._waiting.popleft()
        if self._must_wait:
            return None
        for _ in self._lanes:
            lane = self._lanes[self._turn]
            self._turn = (self._turn + 1) % len(self._lanes)
            row = self._next(lane)
            if row is not None:
                return row
        self._must_wait = True  # decisions depend on results alone: without a further one they would be the same
        return None

    def _next(self, lane: LaneSteps) -> Row | None:
        while True:
            decision = decide(lane.schedule, lane.steps, lane.results, self._generation, lane.n_points)
            if not isinstance(decision, Step):
                return None
            draw = lane.draws[decision.point] if decision.point < len(lane.draws) else self._draw(lane)
            if draw is None:
                lane.n_points = len(lane.draws)  # there are no further points
                continue
            row = self._begin(lane, decision, draw)
            if row is not None:
                return row

    def _draw(self, lane: LaneSteps) -> Mapping[str, int | float] | None:
        number = len(lane.draws)
        if lane.plan.draws is not None:
            return lane.plan.draws[number] if number < len(lane.plan.draws) else None
        return lane.plan.sampler.draw(lane.told(self._generation)) if lane.plan.sampler is not None else None

    def _begin(self, lane: LaneSteps, step: Step, draw: Mapping[str, int | float]) -> Row | None:
        """Write a decision down, and return its trial; None if nothing is left to train for it."""
        is_new = step.point == len(lane.draws)
        self._ledger.decide(entry_of(lane.plan.number, len(lane.steps), step, draw if is_new else None))
        if is_new:
            lane.draws.append(draw)
            self._ledger.begin_point(lane.plan.number, draw)
        lane.steps.append(step)
        row = lane.row(step)
        row.until, row.floors = step.until, step.floors
        result = lane.result(step)
        lane.results.append(result)
        if result is None:
            row.continues = row.continues or row.status == PAUSED
            row.status = PENDING
            return row
        self._take_note(row, result)
        return None

    def waiting(self) -> list[Row]:
        """Return the trials whose steps are decided but not carried out."""
        return list(self._waiting)

    def remove(self, row: Row) -> None:
        """Take note that a trial runs already."""
        self._waiting.remove(row)

    def ended(self, row: Row) -> None:
        """Read the results of a trial's steps that are not known yet."""
        self._must_wait = False
        lane = self._lanes[row.trial.lane]
        if row.status in (DONE, PAUSED):
            for number in lane.open_steps(row):
                lane.results[number] = result = lane.result(lane.steps[number])
                if result is None:
                    cause = f"ended before epoch {lane.steps[number].until} in {row.run.path}"
                    self._ledger.record_shortfall(row, cause)
                else:
                    self._take_note(row, result)
        if row.status == FAILED:
            for number in lane.open_steps(row):
                lane.results[number] = Result(None, 0, is_finished=True)

    def _take_note(self, row: Row, result: Result) -> None:
        if row.status not in (DONE, FAILED):
            row.status, row.reached = PRUNED if result.was_stopped else PAUSED, result.epoch
            self._ledger.take_partial(row, result)

    def put_back(self, row: Row) -> None:
        """Hand a trial out again, before all others; that it failed does not count."""
        lane = self._lanes[row.trial.lane]
        for number, step in enumerate(lane.steps):
            result = lane.results[number]
            if lane.row(step) is row and result is not None and result.value is None and not result.curve:
                lane.results[number] = None
        self._waiting.appendleft(row)

    def close(self) -> None:
        """Mark the trials that no schedule continues; those of a lane that waits for a result may still go on."""
        for row in self._ledger.rows:
            is_decided = None not in self._lanes[row.trial.lane].results
            if row.status in (PAUSED, PENDING) and is_decided:
                row.status = PRUNED


def sequence_of(ledger: Ledger, jobs: int) -> Sequence:
    """Return what hands out the trials of a sweep.

    Args:
        ledger: the sweep, open.
        jobs: how many trials run at once, which is the generation of a study that begins without another.

    Raises:
        ConfigError: a study that goes on began with another generation than it is given now.
    """
    if not ledger.plan.adapts:
        return FixedOrder(ledger.rows)
    asked = ledger.plan.generation
    began = next((entry["generation"] for entry in ledger.journal.entries if "generation" in entry), None)
    if began is not None and asked is not None and asked != began:
        raise ConfigError(
            f"this study began with --generation {began}, on which its trials depend, and cannot go on with {asked}; "
            "leave it out"
        )
    if began is None:
        ledger.decide({"generation": asked or jobs})
    return Adaptive(ledger, began or asked or jobs)
