"""The median stopping rule: floors from the averages of the others."""

from __future__ import annotations

import pytest

from recrun.sweep.schedules.median import MOST_CHECKS, Median
from recrun.sweep.schedules.schedule import END, Past, Result, Step
from tests.sweep.schedules.driver import World, made_up, run


def _curve(point: int, *values: float, is_finished: bool = True) -> Past:
    curve = dict(enumerate(values, start=1))
    return Past(Step(point), Result(max(values), len(values), is_finished, not is_finished, curve))


def test_floors_are_medians_of_running_averages() -> None:
    past = [_curve(0, 1.0, 2.0, 3.0), _curve(1, 2.0, 6.0, 7.0), _curve(2, 3.0, 3.0, 3.0)]
    step = Median(1, 3, min_points=3, min_epochs=1).next(past, 9)
    # Averages up to epoch 1: 1, 2, 3; up to epoch 2: 1.5, 4, 3. There is nothing to save at the last epoch.
    assert step == Step(3, floors={1: 2.0, 2: 3.0})


def test_nothing_is_stopped_before_enough_points_and_epochs() -> None:
    past = [_curve(0, 1.0, 2.0, 3.0, 3.0), _curve(1, 2.0, 6.0, 7.0, 7.0)]
    assert Median(1, 4, min_points=3, min_epochs=1).next(past, 9) == Step(2)
    assert Median(1, 4, min_points=2, min_epochs=3).next(past, 9) == Step(2, floors={3: 3.5})


def test_stopped_points_count_as_far_as_they_came_and_failed_ones_not_at_all() -> None:
    past = [_curve(0, 1.0, 1.0, 1.0), _curve(1, 0.5, is_finished=False), Past(Step(2), Result(None, 0, True))]
    assert Median(1, 3, min_points=1, min_epochs=1).next(past, 9) == Step(3, floors={1: 0.75, 2: 1.0})


def test_points_that_stopped_early_count_with_their_average_afterwards() -> None:
    past = [_curve(0, 1.0, 3.0), _curve(1, 4.0, 4.0, 4.0, 4.0)]
    assert Median(1, 4, min_points=2, min_epochs=3).next(past, 9) == Step(2, floors={3: 3.0})


def test_a_trial_is_compared_at_so_many_evaluations_at_the_most() -> None:
    epochs = Median(1, 1_000, eval_freq=3).epochs
    assert len(epochs) <= MOST_CHECKS
    assert all(epoch % 3 == 0 and 100 <= epoch < 1_000 for epoch in epochs)


def test_bad_points_are_stopped_and_get_no_other_repeats() -> None:
    world = World(
        {
            (point, repeat): {epoch: -point * epoch for epoch in range(1, 11)}
            for point in range(8)
            for repeat in range(2)
        },
        10,
    )
    study = run(Median(2, 10, min_points=3, min_epochs=2), world, 8)
    stopped = {point for point, result in study.latest().items() if result.was_stopped}
    assert stopped == {3, 4, 5, 6, 7}
    assert {step.point for step in study.steps if step.repeat == 1} == {0, 1, 2}


@pytest.mark.parametrize("jobs", [1, 4])
def test_the_best_point_is_kept_at_fewer_epochs(jobs: int) -> None:
    world = made_up(40, 30, seed=3)
    study = run(Median(1, 30), world, 40, jobs)
    assert study.epochs < 0.9 * 40 * 30
    assert study.winner == max(range(40), key=lambda point: max(world.curves[point, 0].values()))


def test_it_ends_with_the_last_point() -> None:
    assert Median(1, 3).next([_curve(0, 1.0, 1.0, 1.0)], 1) == END
