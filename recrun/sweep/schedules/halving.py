"""Prune by continuation: all points begin, and at each rung only the best go on to the next.

A trial that goes on is continued from its saved state, so a trial that reaches the end is, to the last digit, the one
that ran through. Points are compared by the first of their repeats alone; the others are trained only for points that
reached the end with it, and the mean over all repeats ranks those. That costs one repeat a point in place of all; the
price is that a point which is unlucky with its first seed is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from recrun.sweep.schedules.known import Known
from recrun.sweep.schedules.rungs import Standings, default_min_epochs, rungs_of
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Schedule, Step


class Halving(Schedule):
    """Base of the schedules with rungs.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
        eval_freq: epochs between evaluations.
        eta: one of so many points goes on, with so many times the epochs.
        min_epochs: the first rung; see `default_min_epochs` if None.
    """

    def __init__(
        self, n_repeats: int, last_epoch: int, eval_freq: int = 1, eta: int = 3, min_epochs: int | None = None
    ) -> None:
        super().__init__(n_repeats, last_epoch)
        self.eta = eta
        self.min_epochs = min_epochs or default_min_epochs(last_epoch, eval_freq, eta)
        self.rungs = rungs_of(last_epoch, eval_freq, eta, self.min_epochs)

    @property
    def top(self) -> int:
        """The number of the last rung, the end of trials."""
        return len(self.rungs) - 1

    @property
    def reserve(self) -> int:
        """The epochs that `finish` may need once a point has reached the first rung."""
        return self.n_repeats * self.last_epoch - (self.rungs[0] or self.last_epoch)

    def finish(self, past: Sequence[Past]) -> Decision:
        """Return the next step of the best point of the highest rung that any has reached.

        Args:
            past: all earlier steps with their results, all of which are known.
        """
        known = Known(past)
        standings = Standings(self.rungs, known)
        for level in reversed(range(len(self.rungs))):
            sent = [point for point in range(known.n_begun) if standings.was_sent(point, level)]
            ranked = standings.ranked(sent, level)
            if ranked:
                if not standings.is_finished(ranked[0]):
                    return Step(ranked[0])
                return known.next_repeat(ranked[:1], self.n_repeats) or END
        return END


class Asha(Halving):
    """Asynchronous successive halving: a point goes on as soon as it is among the best 1/eta of its rung.

    Points that are drawn from results begin as in the paper: where none can go on. Points that are all known before
    begin first, so that each is compared with all others, and fewer go on that would not have; nothing waits for that.
    In both cases nothing waits for a whole rung, and the study ends once no point is left that can begin or go on. If
    none has reached the end by then, because there were too few, the best of the highest rung goes on until one has.

    A failed trial leaves its rungs. A trial that stopped early costs nothing to go on: where it is among the best of a
    rung, it stands in the next one with the value it has.

    *Source:* Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020 (arXiv:1810.05934),
    Algorithm 2.

    Args:
        n_repeats: how many seeds or folds each point has.
        last_epoch: the epoch at which trials end.
        eval_freq: epochs between evaluations.
        eta: as for `Halving`.
        min_epochs: as for `Halving`.
        draws_adapt: whether points are drawn from results.
    """

    def __init__(
        self,
        n_repeats: int,
        last_epoch: int,
        eval_freq: int = 1,
        eta: int = 3,
        min_epochs: int | None = None,
        draws_adapt: bool = False,
    ) -> None:
        super().__init__(n_repeats, last_epoch, eval_freq, eta, min_epochs)
        self.draws_adapt = draws_adapt

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next step: a repeat of a point at the top, the highest promotion, or a new point."""
        known = Known(past)
        standings = Standings(self.rungs, known)
        levels = self._levels(standings, known.n_begun)
        repeat = known.next_repeat(levels[self.top], self.n_repeats)
        if repeat is not None:
            return repeat
        if known.n_begun < n_points and not self.draws_adapt:
            return Step(known.n_begun, until=self.rungs[0])
        for level in reversed(range(self.top)):
            for point in self._best(levels[level]):
                if not standings.needs_no_step(point, level + 1):
                    return Step(point, until=self.rungs[level + 1])
        if known.n_begun < n_points:
            return Step(known.n_begun, until=self.rungs[0])
        if known.n_pending:
            return WAIT
        return END if levels[self.top] else self.finish(past)

    def _levels(self, standings: Standings, n_begun: int) -> list[list[int]]:
        """Return the points that stand at each rung, the best first."""
        levels: list[list[int]] = []
        for level in range(len(self.rungs)):
            below = set(self._best(levels[-1]) if levels else range(n_begun))
            there = [
                point
                for point in range(n_begun)
                if standings.was_sent(point, level) or (point in below and standings.is_finished(point))
            ]
            levels.append(standings.ranked(there, level))
        return levels

    def _best(self, ranked: Sequence[int]) -> Sequence[int]:
        return ranked[: len(ranked) // self.eta]


class Hyperband(Halving):
    """Brackets of successive halving, which begin with many points at a low rung or with few at a high one.

    The points fill the brackets in order, and the brackets come around again while there are points. Within a bracket
    all points of a rung are compared when all of them have reached it; meanwhile the next bracket goes on. At least one
    point of each bracket reaches the end; where it fails, the next best goes on in its place.

    *Source:* Li et al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 18 (2018),
    Algorithm 1.
    """

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next step of the first bracket that has one."""
        known = Known(past)
        standings = Standings(self.rungs, known)
        for first, points in self.brackets(n_points):
            decision = self._next_in(first, points, known, standings)
            if decision is not None:
                return decision
        return WAIT if known.n_pending else END

    def brackets(self, n_points: int) -> Iterator[tuple[int, range]]:
        """Yield the first rung and the points of each bracket.

        Args:
            n_points: how many points there are in all.
        """
        begin = 0
        while begin < n_points:
            for first in range(len(self.rungs)):
                highest = self.top - first
                size = ceil((self.top + 1) * self.eta**highest / (highest + 1))
                if begin < n_points:
                    yield first, range(begin, min(begin + size, n_points))
                begin += size

    def _next_in(self, first: int, points: range, known: Known, standings: Standings) -> Step | None:
        """Return the next step of a bracket; None if it waits for results, or is done."""
        cohort = list(points)
        for level in range(first, len(self.rungs)):
            for point in cohort:
                if point >= known.n_begun or not standings.needs_no_step(point, level):
                    return Step(point, until=self.rungs[level])
            if any(standings.value(point, level) is None and not standings.has_failed(point) for point in cohort):
                return None
            if level == self.top:
                return known.next_repeat(standings.ranked(cohort, level), self.n_repeats)
            n_best = max(1, len(points) // self.eta ** (level + 1 - first))
            cohort = standings.ranked(cohort, level)[:n_best]
        return None
