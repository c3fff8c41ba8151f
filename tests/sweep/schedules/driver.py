"""Run a schedule on made-up curves, with any number of jobs and any durations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from recrun.sweep.schedules.schedule import Result, Schedule, Step
from recrun.sweep.schedules.window import decide

Curves = Mapping[tuple[int, int], Mapping[int, float]]
"""The value at each evaluation by epoch, for each point and repeat; the last one is where the trial ends."""


@dataclass
class World:
    """What trials would come to.

    Args:
        curves: their curves.
        last_epoch: the epoch at which trials end that do not stop early.
        failing: the trials that fail, with the epoch after which they do.
    """

    curves: Curves
    last_epoch: int
    failing: Mapping[tuple[int, int], int] = field(default_factory=dict)

    def result(self, step: Step) -> Result:
        """Return what a step comes to, as `recrun train` does: it ends at an evaluation."""
        trial = (step.point, step.repeat)
        curve = self.curves[trial]
        known: dict[int, float] = {}
        for epoch, value in sorted(curve.items()):
            if epoch > self.failing.get(trial, epoch):
                return Result(None, 0, is_finished=True)
            known[epoch] = value
            best = max(known.values())
            is_last = epoch == max(curve)
            if best < step.floors.get(epoch, float("-inf")):
                return Result(best, epoch, is_last, not is_last, known)
            if step.until is not None and epoch >= step.until:
                return Result(best, epoch, is_last, curve=known)
        return Result(max(known.values()), max(known), is_finished=True, curve=known)


@dataclass
class Study:
    """A study that has ended.

    Args:
        steps: its steps, in order.
        results: their results.
        n_idle: how often a job had nothing to do although another ran.
    """

    steps: list[Step]
    results: list[Result]
    n_idle: int = 0

    @property
    def epochs(self) -> int:
        """The epochs that it trained; a trial that went on counts once."""
        reached: dict[tuple[int, int], int] = {}
        for step, result in zip(self.steps, self.results, strict=True):
            trial = (step.point, step.repeat)
            reached[trial] = max(reached.get(trial, 0), result.epoch)
        return sum(reached.values())

    def latest(self, repeat: int = 0) -> dict[int, Result]:
        """Return the last result of each point's trial."""
        return {
            step.point: result for step, result in zip(self.steps, self.results, strict=True) if step.repeat == repeat
        }

    def finished(self, repeat: int = 0) -> dict[int, float]:
        """Return the values of the points whose trial was trained to its end."""
        return {
            point: result.value
            for point, result in self.latest(repeat).items()
            if result.is_finished and result.value is not None
        }

    @property
    def winner(self) -> int:
        """The point with the highest value among those trained to their end."""
        values = self.finished()
        return max(values, key=lambda point: (values[point], -point))


def run(
    schedule: Schedule, world: World, n_points: int, jobs: int = 1, generation: int | None = None, seed: int = 0
) -> Study:
    """Run a study to its end; durations are drawn, so that steps end in any order."""
    draw = random.Random(seed)
    generation = generation or jobs
    steps: list[Step] = []
    results: list[Result | None] = []
    running: list[tuple[float, int]] = []
    now, n_idle = 0.0, 0
    while True:
        while len(running) < jobs:
            decision = decide(schedule, steps, results, generation, n_points)
            if not isinstance(decision, Step):
                n_idle += bool(running)
                break
            running.append((now + draw.random() * draw.choice([1, 10]), len(steps)))
            steps.append(decision)
            results.append(None)
        if not running:
            break
        now, number = min(running)
        running.remove((now, number))
        results[number] = world.result(steps[number])
    assert all(result is not None for result in results)
    return Study(steps, [result for result in results if result is not None], n_idle)


def made_up(
    n_points: int,
    last_epoch: int,
    n_repeats: int = 1,
    seed: int = 0,
    eval_freq: int = 1,
    early: float = 0.0,
    fails: float = 0.0,
) -> World:
    """Return curves that rise to a level of their own at a speed of their own, with noise; some stop early, or fail."""
    draw = random.Random(seed)
    curves: dict[tuple[int, int], dict[int, float]] = {}
    failing: dict[tuple[int, int], int] = {}
    for point in range(n_points):
        level, speed = draw.gauss(0.5, 0.1), draw.uniform(2.0, 6.0) / last_epoch
        for repeat in range(n_repeats):
            shift = draw.gauss(0, 0.01)
            end = draw.randrange(1, last_epoch + 1) if draw.random() < early else last_epoch
            end = max(eval_freq, end // eval_freq * eval_freq)
            curves[point, repeat] = {
                epoch: level * (1 - 2.718 ** (-speed * epoch)) + shift + draw.gauss(0, 0.002)
                for epoch in range(eval_freq, end + 1, eval_freq)
            }
            if draw.random() < fails:
                failing[point, repeat] = draw.randrange(last_epoch)
    return World(curves, last_epoch, failing)
