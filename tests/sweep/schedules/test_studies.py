"""What holds for all schedules, with trials that fail, stop early and end in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.sweep.schedules.budget import budgeted
from recrun.sweep.schedules.choose import choose_schedule
from recrun.sweep.schedules.schedule import Past, Schedule, Step
from recrun.sweep.schedules.window import decide
from tests.sweep.schedules.driver import Study, World, made_up, run

KINDS: Final = ("asha", "asha:eta=2,min_epochs=3", "hyperband", "median", "wilcoxon", "race", "whole")
EPOCHS: Final = 40


def _schedule(kind: str, n_repeats: int, draws_adapt: bool = False) -> Schedule:
    prune = None if kind in ("race", "whole") else kind
    config = {"epochs": EPOCHS, "eval_freq": 1, "model": "bprmf"}
    return choose_schedule(prune, kind == "race", n_repeats=n_repeats, config=config, draws_adapt=draws_adapt)


def _n_repeats(kind: str, more: int) -> int:
    return more + (4 if kind in ("wilcoxon", "race") else 0)


def _world(n_points: int, n_repeats: int, seed: int, failing: list[int]) -> World:
    """Return curves of which some stop early; of the points in `failing` one repeat fails."""
    world = made_up(n_points, EPOCHS, n_repeats, seed, early=0.2)
    return replace(world, failing={(point, point % n_repeats): 1 + point % 5 for point in failing if point < n_points})


@st.composite
def _cases(draw: st.DrawFn) -> tuple[int, int, int, int, list[int], bool]:
    n_points = draw(st.integers(1, 14))
    failing = draw(st.lists(st.integers(0, 13), max_size=4))
    return (
        n_points,
        draw(st.integers(1, 3)),
        draw(st.integers(0, 999)),
        draw(st.integers(1, 7)),
        failing,
        draw(st.booleans()),
    )


def _whole(study: Study, n_repeats: int) -> set[int]:
    """Return the points whose repeats were all trained to their end."""
    return set.intersection(*(set(study.finished(repeat)) for repeat in range(n_repeats)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(case=_cases(), max_epochs=st.sampled_from([None, 280, 400]))
def test_a_study_does_not_depend_on_what_ends_first_nor_on_how_many_run(
    kind: str, case: tuple[int, int, int, int, list[int], bool], max_epochs: int | None
) -> None:
    n_points, more, seed, generation, failing, draws_adapt = case
    n_repeats = _n_repeats(kind, more)
    world = _world(n_points, n_repeats, seed, failing)

    def study(jobs: int, order: int) -> Study:
        schedule = _schedule(kind, n_repeats, draws_adapt)
        limited = schedule if max_epochs is None else budgeted([schedule], max_epochs)[0]
        return run(limited, world, n_points, jobs, generation, order)

    alone = study(1, 0)
    assert max_epochs is None or alone.epochs <= max_epochs
    for jobs, order in ((2, 1), (4, 2), (4, 3), (9, 4)):
        assert study(jobs, order) == replace(alone, n_idle=study(jobs, order).n_idle)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(case=_cases())
def test_all_points_begin_in_order_and_one_that_can_be_is_trained_with_all_repeats(
    kind: str, case: tuple[int, int, int, int, list[int], bool]
) -> None:
    n_points, more, seed, generation, failing, draws_adapt = case
    n_repeats = _n_repeats(kind, more)
    world = _world(n_points, n_repeats, seed, failing)
    study = run(_schedule(kind, n_repeats, draws_adapt), world, n_points, generation=generation)
    assert list(dict.fromkeys(step.point for step in study.steps)) == list(range(n_points))
    assert len({(step.point, step.repeat, step.until) for step in study.steps}) == len(study.steps)
    able = set(range(n_points)) - {point for point, _ in world.failing}
    assert bool(_whole(study, n_repeats)) or not able


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_that_was_cut_off_after_any_step_goes_on_to_the_same_steps(kind: str) -> None:
    n_repeats = _n_repeats(kind, 2)
    world = _world(9, n_repeats, 3, [4])
    whole = run(_schedule(kind, n_repeats), world, 9, jobs=3)
    for n_kept in range(len(whole.steps)):
        schedule = _schedule(kind, n_repeats)
        assert decide(schedule, whole.steps[:n_kept], whole.results[:n_kept], 3, 9) == whole.steps[n_kept]


def test_points_that_lost_to_one_that_then_fails_are_in_the_race_again() -> None:
    values = {0: 0.1, 1: 0.5, 2: 0.2}
    noise = (0.0, 0.001, -0.001, 0.002, 0.0)
    curves = {(p, r): {1: value + noise[(p + r) % 5]} for p, value in values.items() for r in range(5)}
    schedule = choose_schedule(None, True, n_repeats=5, config={"epochs": 1})
    calm = run(schedule, World(curves, 1), 3)
    assert [sum(step.point == point for step in calm.steps) for point in values] == [2, 5, 2]
    failed = run(schedule, World(curves, 1, failing={(1, 4): 0}), 3)
    assert failed.steps[: len(calm.steps)] == calm.steps
    assert set(failed.finished(4)) == {2}


def test_a_race_waits_for_the_round_before() -> None:
    schedule = choose_schedule(None, True, n_repeats=5, config={"epochs": 1})
    world = made_up(2, 1, 5, seed=1)
    steps = [Step(0, 0), Step(0, 1), Step(1, 0), Step(1, 1), Step(0, 2)]
    assert schedule.next([Past(step) for step in steps], 2) == "wait"
    assert schedule.next([Past(step, world.result(step)) for step in steps], 2) != "end"


@pytest.mark.parametrize("kind", ["asha", "hyperband"])
def test_the_next_best_point_takes_the_place_of_one_whose_second_repeat_fails(kind: str) -> None:
    curves = {(p, r): dict.fromkeys(range(1, EPOCHS + 1), 0.1 + p / 10) for p in range(3) for r in range(2)}
    study = run(_schedule(kind, 2), World(curves, EPOCHS, failing={(2, 1): 0}), 3)
    assert _whole(study, 2) == {1}
