"""ASHA and Hyperband: who goes on, and when."""

from __future__ import annotations

import math

import pytest

from recrun.sweep.schedules.halving import Asha, Hyperband
from recrun.sweep.schedules.schedule import END, WAIT, Past, Result, Step
from tests.sweep.schedules.driver import World, made_up, run


def _at(point: int, until: int | None, value: float | None, **further: bool) -> Past:
    return Past(Step(point, until=until), Result(value, until or 27, is_finished=until is None, **further))


def _ordered(n_points: int, n_repeats: int = 1) -> World:
    """Return curves that never cross; point 0 is the worst."""
    return World(
        {
            (point, repeat): {epoch: point + epoch / 100 for epoch in range(1, 28)}
            for point in range(n_points)
            for repeat in range(n_repeats)
        },
        27,
    )


def test_asha_trains_the_numbers_of_successive_halving_where_all_points_are_known() -> None:
    study = run(Asha(1, 27, min_epochs=3), _ordered(27), 27)
    assert [sum(step.until == until for step in study.steps) for until in (3, 9, None)] == [27, 9, 3]
    assert study.epochs == 27 * 3 + 9 * 6 + 3 * 18
    assert study.winner == 26


def test_asha_continues_trials_and_never_begins_one_twice() -> None:
    study = run(Asha(1, 27, min_epochs=3), made_up(30, 27, early=0.2), 30, jobs=3)
    for point in range(30):
        rungs = [step.until or math.inf for step in study.steps if step.point == point]
        assert rungs == sorted(set(rungs))


def test_asha_promotes_before_it_begins_points_that_are_drawn_from_results() -> None:
    schedule = Asha(1, 27, min_epochs=3, draws_adapt=True)
    past = [_at(0, 3, 0.5), _at(1, 3, 0.7), _at(2, 3, 0.6)]
    assert schedule.next(past[:2], 9) == Step(2, until=3)
    assert schedule.next(past, 9) == Step(1, until=9)
    assert Asha(1, 27, min_epochs=3).next(past, 9) == Step(3, until=3)


def test_asha_promotes_the_highest_rung_first() -> None:
    schedule = Asha(1, 27, min_epochs=3)
    past = [_at(point, 3, point / 10) for point in range(12)]
    past += [_at(11, 9, 2.0), _at(10, 9, 3.0), _at(9, 9, 1.0)]
    assert schedule.next(past, 12) == Step(10, until=None)


def test_equal_values_are_ranked_by_the_number_of_the_point() -> None:
    past = [_at(point, 3, 0.5) for point in range(6)]
    assert Asha(1, 27, min_epochs=3).next(past, 6) == Step(0, until=9)


def test_failed_trials_are_never_promoted_and_leave_their_place_to_others() -> None:
    past = [_at(0, 3, 0.9), _at(1, 3, 0.8), _at(2, 3, 0.7), Past(Step(3, until=3), Result(None, 0, True))]
    schedule = Asha(1, 27, min_epochs=3)
    assert schedule.next(past, 4) == Step(0, until=9)
    failed = [*past, Past(Step(0, until=9), Result(None, 0, True))]
    assert schedule.next(failed, 4) == Step(1)  # Two are left, too few for a third: the best is completed.


def test_trials_that_stopped_early_are_not_sent_on_but_count_in_higher_rungs() -> None:
    schedule = Asha(1, 27, min_epochs=3)
    past = [_at(point, 3, point / 10) for point in range(9)]
    past[8] = Past(Step(8, until=3), Result(0.9, 2, is_finished=True))
    past[7] = Past(Step(7, until=3), Result(0.8, 2, is_finished=True))
    assert schedule.next(past, 9) == Step(6, until=9)
    # In the second rung point 6 has to beat both, which stand there at no cost.
    assert schedule.next([*past, _at(6, 9, 0.85)], 9) == END
    assert schedule.next([*past, _at(6, 9, 0.95)], 9) == Step(6, until=None)


def test_early_stops_of_bad_trials_do_not_promote_others() -> None:
    past = [Past(Step(point, until=3), Result(point / 100, 2, is_finished=True)) for point in range(6)]
    past += [_at(point, 3, point / 10) for point in range(6, 9)]
    study = list(past)
    schedule = Asha(1, 27, min_epochs=3)
    for expected in (8, 7, 6):
        assert schedule.next(study, 9) == Step(expected, until=9)
        study.append(_at(expected, 9, expected / 10))
    assert schedule.next(study, 9) == Step(8, until=None)


@pytest.mark.parametrize("n_points", [1, 2, 5, 8])
def test_too_few_points_for_the_rungs_still_complete_the_best(n_points: int) -> None:
    study = run(Asha(1, 27, min_epochs=3), _ordered(n_points), n_points)
    assert study.finished() == {n_points - 1: n_points - 1 + 0.27}


def test_asha_waits_only_where_nothing_is_left_to_begin() -> None:
    past = [*(_at(point, 3, 0.1) for point in range(2)), Past(Step(2, until=3))]
    assert Asha(1, 27, min_epochs=3).next(past, 3) == WAIT
    assert Asha(1, 27, min_epochs=3).next(past, 4) == Step(3, until=3)


@pytest.mark.parametrize("kind", [Asha, Hyperband])
def test_other_repeats_are_trained_for_points_that_reached_the_end(kind: type[Asha] | type[Hyperband]) -> None:
    study = run(kind(3, 27, min_epochs=3), _ordered(27, 3), 27)
    reached = {step.point for step in study.steps if step.until is None and step.repeat == 0}
    others = [(step.point, step.repeat) for step in study.steps if step.repeat > 0]
    assert sorted(others) == [(point, repeat) for point in sorted(reached) for repeat in (1, 2)]
    assert all(step.until is None for step in study.steps if step.repeat > 0)


def test_a_point_of_which_a_repeat_failed_gets_no_more() -> None:
    world = World(_ordered(3, 4).curves, 27, failing={(2, 1): 5})
    study = run(Asha(4, 27, min_epochs=3), world, 3)
    assert [step.repeat for step in study.steps if step.point == 2 and step.repeat > 0] == [1]


def test_hyperband_has_the_brackets_of_the_paper() -> None:
    # Table 1 for R = 81 and eta = 3, where a bracket of s halvings has ceil(5 / (s + 1) * 3 ** s) points.
    brackets = list(Hyperband(1, 81, min_epochs=1).brackets(143))
    assert [(first, len(points)) for first, points in brackets] == [(0, 81), (1, 34), (2, 15), (3, 8), (4, 5)]


def test_hyperband_comes_around_again_and_cuts_the_last_bracket_short() -> None:
    brackets = list(Hyperband(1, 9, min_epochs=3).brackets(9))
    assert brackets == [(0, range(3)), (1, range(3, 5)), (0, range(5, 8)), (1, range(8, 9))]


def test_a_bracket_halves_when_all_of_a_rung_are_known() -> None:
    study = run(Hyperband(1, 27, min_epochs=3), _ordered(9), 9)
    assert [(step.point, step.until) for step in study.steps[9:]] == [(8, 9), (7, 9), (6, 9), (8, None)]


def test_a_bracket_that_waits_lets_the_next_one_go_on() -> None:
    schedule = Hyperband(1, 9, min_epochs=3)
    past = [_at(0, 3, 0.1), _at(1, 3, 0.2), Past(Step(2, until=3))]
    assert schedule.next(past, 9) == Step(3)
    assert schedule.next(past, 3) == WAIT


def test_where_the_best_of_a_bracket_fails_the_next_best_goes_on() -> None:
    world = World(_ordered(3).curves, 9, failing={(2, 0): 5})
    study = run(Hyperband(1, 9, min_epochs=3), world, 3)
    assert list(study.finished()) == [1]
