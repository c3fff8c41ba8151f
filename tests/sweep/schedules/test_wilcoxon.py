"""Points are given up over their repeats by the signed-rank test."""

from __future__ import annotations

import random

import pytest

from recrun.sweep.schedules.schedule import Past, Result, Step
from recrun.sweep.schedules.wilcoxon import Wilcoxon, n_least, p_below
from tests.sweep.schedules.driver import World, run


def _world(*points: list[float]) -> World:
    return World({(point, n): {1: value} for point, values in enumerate(points) for n, value in enumerate(values)}, 1)


@pytest.mark.parametrize("count", [3, 5, 8, 12])
def test_p_values_are_those_of_scipy_without_ties(count: int) -> None:
    from scipy.stats import wilcoxon

    draw = random.Random(count)
    for _ in range(20):
        one, other = (tuple(draw.gauss(mean, 1) for _ in range(count)) for mean in (0, 0.5))
        differences = [a - b for a, b in zip(one, other, strict=True)]
        expected = wilcoxon(differences, alternative="less", method="exact").pvalue
        assert p_below(one, other) == pytest.approx(expected)


def test_equal_differences_share_their_ranks_and_zeros_are_left_out() -> None:
    # By hand: differences -1, -1, 1, 0; each has the rank 2, so 4 of the 8 ways have at most one positive.
    assert p_below((1.0, 1.0, 3.0, 5.0), (2.0, 2.0, 2.0, 5.0)) == 4 / 8
    assert p_below((1.0, 2.0), (1.0, 2.0)) == 1.0


def test_the_smallest_useful_number_is_where_a_p_value_can_be_below() -> None:
    for p in (0.3, 0.1, 0.05, 0.01):
        count = n_least(p)
        assert p_below((0.0,) * count, tuple(float(n) for n in range(1, count + 1))) < p
        assert p_below((0.0,) * (count - 1), tuple(float(n) for n in range(1, count))) >= p


def test_a_worse_point_gets_no_more_repeats_and_a_better_one_gets_all() -> None:
    best, worse, better = [0.5] * 8, [0.1 + n / 100 for n in range(8)], [0.6 + n / 100 for n in range(8)]
    study = run(Wilcoxon(8, 1), _world(best, worse, better), 3)
    assert [sum(step.point == point for step in study.steps) for point in range(3)] == [8, 4, 8]


def test_repeats_of_a_point_are_trained_one_at_a_time() -> None:
    schedule = Wilcoxon(5, 1)
    past = [Past(Step(0))]
    assert schedule.next(past, 2) == Step(1)
    assert schedule.next([Past(Step(0), Result(0.5, 1, True))], 2) == Step(0, 1)


def test_a_point_of_which_a_repeat_failed_gets_no_more() -> None:
    schedule = Wilcoxon(5, 1)
    past = [Past(Step(0), Result(0.5, 1, True)), Past(Step(0, 1), Result(None, 0, True))]
    assert schedule.next(past, 2) == Step(1)


def test_a_point_that_was_given_up_goes_on_if_it_is_not_worse_than_a_new_best() -> None:
    values = {
        0: [0.5] * 5,
        1: [0.4, 0.4, 0.4, 0.4],  # Worse than point 0, but not than point 2 in the first two repeats.
        2: [0.3, 0.3, 0.9, 0.9, 0.9],
    }
    past = [
        Past(Step(point, repeat), Result(value, 1, True))
        for point, each in values.items()
        for repeat, value in enumerate(each)
    ]
    assert Wilcoxon(5, 1).next(past[:9], 3) == Step(2)
    assert Wilcoxon(5, 1).next(past, 3) == Step(1, 4)
