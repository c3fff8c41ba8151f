"""A study ends when its epochs are used up, at the same step whatever runs at once."""

from __future__ import annotations

from itertools import product

import pytest

from recrun.errors import ConfigError
from recrun.sweep.schedules.budget import Budgeted, budgeted
from recrun.sweep.schedules.choose import choose_schedule
from recrun.sweep.schedules.schedule import END, WAIT, Past, Result, Step
from recrun.sweep.schedules.whole import Whole
from tests.sweep.schedules.driver import Study, made_up, run
from tests.sweep.schedules.test_window import METHODS

CONFIG = {"epochs": 12, "eval_freq": 1, "model": "bprmf"}


def _complete(study: Study, n_repeats: int) -> list[int]:
    return [point for point in study.finished() if all(point in study.finished(n) for n in range(n_repeats))]


@pytest.mark.parametrize(("prune", "race", "n_repeats"), METHODS)
@pytest.mark.parametrize("n_more", [0, 3, 80])
def test_no_more_epochs_are_trained_and_the_steps_do_not_depend_on_jobs(
    prune: str | None, race: bool, n_repeats: int, n_more: int
) -> None:
    world = made_up(12, 12, n_repeats, seed=n_more, early=0.2)
    max_epochs = 12 * n_repeats + n_more
    schedule = Budgeted(choose_schedule(prune, race, n_repeats=n_repeats, config=CONFIG), max_epochs)
    for generation in (1, 3):
        first = run(schedule, world, 12, 1, generation)
        assert first.epochs <= max_epochs
        for jobs, drawn in product((2, 4), (1, 2)):
            assert run(schedule, world, 12, jobs, generation, drawn).steps == first.steps
        assert _complete(first, n_repeats), "a point is completed, so that one can be chosen"


def test_a_budget_that_is_never_reached_changes_nothing() -> None:
    world = made_up(9, 12)
    plain = choose_schedule("asha", False, n_repeats=1, config=CONFIG)
    assert run(Budgeted(plain, 1_000), world, 9).steps == run(plain, world, 9).steps


def test_a_step_counts_with_what_it_may_train_until_it_is_known() -> None:
    schedule = Budgeted(Whole(1, 10), 25)
    early = Result(0.5, 4, is_finished=True)
    assert schedule.next([Past(Step(0)), Past(Step(1))], 9) == WAIT
    assert schedule.next([Past(Step(0), early), Past(Step(1))], 9) == Step(2)
    assert schedule.next([Past(Step(0), Result(0.5, 10, True)), Past(Step(1), Result(0.5, 10, True))], 9) == END


def test_a_continued_trial_counts_once() -> None:
    past = [Past(Step(0, until=4), Result(0.5, 4)), Past(Step(0, until=8), Result(0.6, 8))]
    assert Budgeted(Whole(1, 10), 18).next(past, 9) == Step(2)
    assert Budgeted(Whole(1, 10), 17).next(past, 9) == END


def test_a_budget_that_is_too_small_for_one_point_is_refused() -> None:
    with pytest.raises(ConfigError, match="one point takes 20 epochs, and its share of them is 19"):
        Budgeted(Whole(2, 10), 19)


def test_lanes_share_the_epochs_evenly_except_for_those_that_are_not_trained_by_epochs() -> None:
    lanes = [Whole(1, 10), Whole(1, 0), Whole(1, 10), Whole(1, 10)]
    shares = [each.max_epochs if isinstance(each, Budgeted) else None for each in budgeted(lanes, 100)]
    assert shares == [34, None, 33, 33]
    with pytest.raises(ConfigError, match="its share"):
        budgeted(lanes, 29)
