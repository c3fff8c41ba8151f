"""Whole trials in order."""

from __future__ import annotations

from recrun.sweep.schedules.schedule import Step
from recrun.sweep.schedules.whole import Whole
from tests.sweep.schedules.driver import made_up, run


def test_every_point_is_trained_with_all_its_repeats_to_the_end() -> None:
    study = run(Whole(2, 5), made_up(3, 5, 2), 3, jobs=4)
    assert study.steps == [Step(point, repeat) for point in range(3) for repeat in range(2)]
    assert study.epochs == 3 * 2 * 5
