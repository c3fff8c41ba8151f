from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.view.pace import Pace
from tests.sweep.view.conftest import fill

MakeStudy = Callable[..., Ledger]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_nothing_is_estimated_before_a_trial_has_ended(study: MakeStudy) -> None:
    pace = Pace(study("bprmf", "lr=1e-3,1e-2"))
    assert pace.left() is None
    assert pace.text() == "0:00:00"


def test_what_is_left_is_the_mean_time_of_trials_over_those_at_once(study: MakeStudy, clock: list[float]) -> None:
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2", "seed=1,2")
    pace = Pace(ours)
    fill(ours, [0.1, 0.1])  # of 10 s each
    for row in ours.rows[2:4]:
        row.status, row.started = "running", clock[0] - 4
    assert pace.left() == pytest.approx((6 + 6 + 10 + 10) / 2)
    clock[0] += 20
    assert pace.left() == pytest.approx((10 + 10) / 2)  # late ones count as about to end
    assert pace.text() == "0:00:20, about 0:00:10 left"


def test_the_time_that_a_process_takes_to_start_counts(study: MakeStudy, clock: list[float]) -> None:
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2")
    fill(ours, [0.1])
    ours.rows[0].spent = 13.0  # of which its run recorded 10
    assert Pace(ours).left() == pytest.approx(26)


def test_configs_have_means_of_their_own(study: MakeStudy, clock: list[float]) -> None:
    ours = study("popularity bprmf", "seed=1,2,3")
    fill(ours, [0.1] * 4)
    for row in ours.rows[:3]:
        row.seconds = 1.0
    assert Pace(ours).left() == pytest.approx(10 + 10)


def test_points_that_are_not_drawn_yet_count(study: MakeStudy, clock: list[float]) -> None:
    ours = study("bprmf", "lr=1e-4..1e-2:log", search="tpe", trials=10, seeds=2)
    ours.begin_point(0, {"lr": 1e-3})
    fill(ours, [0.1, 0.2])
    pace = Pace(ours)
    assert (pace.n_ended(), pace.total()) == (2, 20)
    assert pace.left() == pytest.approx(18 * 10)


def test_no_more_is_left_than_the_hours_that_were_given(study: MakeStudy, clock: list[float]) -> None:
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2", max_hours=0.004)
    pace = Pace(ours)
    fill(ours, [0.1])
    clock[0] += 4
    assert pace.left() == pytest.approx(0.004 * 3600 - 4)
    assert pace.text() == "0:00:04 of 0:00:14, about 0:00:10 left"


def test_paused_trials_may_go_on_so_the_estimate_is_the_least(study: MakeStudy, clock: list[float]) -> None:
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2", "epochs=9", prune="asha")
    fill(ours, [0.1], status="paused")
    ours.rows[0].until = 1
    assert Pace(ours).text() == "0:00:00, at least 0:00:20 left"
