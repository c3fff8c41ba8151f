"""Races over repeats: who is out, and when."""

from __future__ import annotations

import random

import pytest

from recrun.sweep.schedules.race import Race, survivors
from recrun.sweep.schedules.schedule import WAIT, Past, Result, Step
from tests.sweep.schedules.driver import World, run


def _world(n_points: int, n_repeats: int, gap: float, noise: float, seed: int = 0) -> World:
    draw = random.Random(seed)
    shifts = [draw.gauss(0, 1) for _ in range(n_repeats)]
    return World(
        {
            (point, repeat): {1: -gap * point + shifts[repeat] + draw.gauss(0, noise)}
            for point in range(n_points)
            for repeat in range(n_repeats)
        },
        1,
    )


def test_who_is_out_is_decided_by_the_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    draw = random.Random(0)
    for count in (2, 3, 6):
        values = tuple(tuple(draw.gauss(point / 4, 1) for _ in range(count)) for point in range(6))
        best = max(values, key=sum)
        for level in (0.01, 0.05, 0.2):
            expected = [
                place
                for place, each in enumerate(values)
                if each is best or ttest_rel(best, each, alternative="greater").pvalue >= level
            ]
            assert survivors(values, level) == tuple(expected)


def test_equal_points_stay_and_one_that_is_always_worse_by_as_much_is_out() -> None:
    assert survivors(((1.0, 2.0), (1.0, 2.0), (0.0, 1.0)), 0.01) == (0, 1)


def test_all_points_begin_with_their_first_repeats_then_rounds_follow() -> None:
    study = run(Race(4, 1), _world(3, 4, gap=0.0, noise=1.0), 3)
    assert study.steps[:6] == [Step(point, repeat) for point in range(3) for repeat in range(Race.n_first)]
    rounds = [step.repeat for step in study.steps[6:]]
    assert rounds == sorted(rounds)


def test_points_that_are_far_worse_get_no_further_repeats_and_the_best_gets_all() -> None:
    study = run(Race(8, 1), _world(10, 8, gap=10.0, noise=0.01), 10, jobs=3)
    counts = [sum(step.point == point for step in study.steps) for point in range(10)]
    assert counts == [8] + [Race.n_first] * 9


def test_points_that_are_equally_good_all_get_all_repeats() -> None:
    world = World({(point, repeat): {1: float(repeat)} for point in range(4) for repeat in range(6)}, 1)
    assert len(run(Race(6, 1), world, 4).steps) == 24


def test_who_is_out_stays_out() -> None:
    study = run(Race(10, 1), _world(12, 10, gap=0.3, noise=1.0, seed=4), 12, jobs=2)
    for point in range(12):
        repeats = [step.repeat for step in study.steps if step.point == point]
        assert repeats == list(range(len(repeats)))


def test_a_round_waits_for_all_results_before_it() -> None:
    known = [Past(Step(point, repeat), Result(0.5, 1, True)) for point in range(2) for repeat in range(2)]
    assert Race(4, 1).next([*known[:3], Past(known[3].step)], 2) == WAIT
    assert Race(4, 1).next(known, 2) == Step(0, 2)


def test_a_point_of_which_a_repeat_failed_is_out() -> None:
    world = World(_world(3, 6, 0.0, 1.0).curves, 1, failing={(0, 1): 0, (1, 3): 0})
    study = run(Race(6, 1), world, 3)
    assert [sum(step.point == point for step in study.steps) for point in (0, 1)] == [2, 4]


@pytest.mark.parametrize("n_repeats", [3, 10])
def test_the_chance_that_the_best_point_is_lost_is_small(n_repeats: int) -> None:
    lost = 0
    for seed in range(200):
        study = run(Race(n_repeats, 1), _world(6, n_repeats, gap=0.5, noise=1.0, seed=seed), 6)
        lost += sum(step.point == 0 for step in study.steps) < n_repeats
    # Each of five others could put it out at each comparison; simulated at length in benchmarks/racing.py.
    assert lost / 200 <= 0.05
