"""Decisions depend on the results within the window alone, whatever runs at once and however long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.sweep.schedules.choose import choose_schedule
from recrun.sweep.schedules.schedule import END, WAIT, Decision, Past, Result, Schedule, Step
from recrun.sweep.schedules.whole import Whole
from recrun.sweep.schedules.window import Window, decide
from tests.sweep.schedules.driver import made_up, run

METHODS = [
    (None, False, 2),
    ("asha", False, 1),
    ("asha", False, 3),
    ("hyperband:eta=2", False, 2),
    ("median:min_points=3", False, 2),
    ("wilcoxon", False, 6),
    (None, True, 5),
]


class Recorder(Schedule):
    """Begins points until there are no more, and keeps how many results it was shown; waits for `needs` of them."""

    def __init__(self, needs: int = 0) -> None:
        super().__init__(1, 10)
        self.needs = needs
        self.seen: list[int] = []

    def next(self, past: Sequence[Past], n_points: int) -> Decision:
        """Return the next point."""
        known = sum(each.result is not None for each in past)
        self.seen.append(known)
        if len(past) == n_points:
            return END
        return Step(len(past)) if known >= min(self.needs, len(past)) else WAIT


@pytest.mark.parametrize(("prune", "race", "n_repeats"), METHODS)
@pytest.mark.parametrize("draws_adapt", [False, True])
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), n_points=st.integers(1, 14), generation=st.integers(1, 5), early=st.booleans())
def test_the_steps_are_the_same_for_any_number_of_jobs_and_any_durations(
    prune: str | None,
    race: bool,
    n_repeats: int,
    draws_adapt: bool,
    seed: int,
    n_points: int,
    generation: int,
    early: bool,
) -> None:
    world = made_up(n_points, 12, n_repeats, seed, early=0.4 if early else 0.0, fails=0.1 if seed % 2 else 0.0)
    config = {"epochs": 12, "eval_freq": 1, "model": "bprmf"}
    schedule = choose_schedule(prune, race, n_repeats=n_repeats, config=config, draws_adapt=draws_adapt)
    first = run(schedule, world, n_points, 1, generation)
    for jobs, drawn in product((2, 4), (1, 2)):
        assert run(schedule, world, n_points, jobs, generation, drawn).steps == first.steps
    assert len(set(map(str, first.steps))) == len(first.steps)
    if not world.failing:
        finished = [first.finished(repeat) for repeat in range(n_repeats)]
        assert set(finished[0]).intersection(*finished), "some point is trained to its end with all its repeats"


@pytest.mark.parametrize("generation", [1, 3])
def test_a_step_knows_the_results_of_all_but_the_last_of_its_generation(generation: int) -> None:
    schedule = Recorder()
    results = [Result(0.5, 10, is_finished=True)] * 5
    decide(schedule, [Step(point) for point in range(5)], results, generation, 9)
    assert schedule.seen == [6 - generation]


def test_a_step_waits_for_results_within_its_window_only() -> None:
    steps = [Step(0), Step(1), Step(2)]
    known = Result(0.5, 10, is_finished=True)
    assert decide(Recorder(), steps, [None, known, known], 3, 9) == WAIT
    assert decide(Recorder(), steps, [known, None, None], 3, 9) == Step(3)


def test_a_schedule_that_waits_is_shown_one_result_more_at_a_time() -> None:
    schedule = Recorder(needs=3)
    known = Result(0.5, 10, is_finished=True)
    assert decide(schedule, [Step(point) for point in range(4)], [known] * 4, 4, 9) == Step(4)
    assert schedule.seen == [1, 2, 3]
    assert decide(schedule, [Step(point) for point in range(4)], [known, known, None, known], 4, 9) == WAIT


def test_a_schedule_that_waits_with_all_results_known_is_at_its_end() -> None:
    assert decide(Recorder(needs=9), [], [], 1, 9) == Step(0)

    class Waiting(Recorder):
        def next(self, past: Sequence[Past], n_points: int) -> Decision:
            return WAIT

    assert decide(Waiting(), [Step(0)], [Result(0.1, 10, is_finished=True)], 1, 9) == END


def test_whole_trials_wait_for_nothing_unless_points_are_drawn_from_results() -> None:
    assert decide(Whole(2, 10), [Step(0)], [None], 1, 3) == Step(0, 1)
    assert decide(Whole(2, 10, adapts=True), [Step(0)], [None], 1, 3) == WAIT


def test_a_window_is_a_sequence_that_hides_what_may_not_be_known() -> None:
    steps = [Step(0), Step(1), Step(2)]
    result = Result(0.5, 10, is_finished=True)
    window = Window(steps, [result] * 3, 1)
    shown = [Past(steps[0], result), Past(steps[1]), Past(steps[2])]
    assert list(window) == window[:] == [window[number] for number in range(3)] == shown
    assert window[-1] == shown[-1]
    with pytest.raises(IndexError):
        window[3]
