from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.limits import Limits
from recrun.sweep.time_limits import SECONDS_TO_SAVE, TimeLimits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"now": 1000.0}
    monkeypatch.setattr("recrun.sweep.time_limits.time.monotonic", lambda: now["now"])
    return now


@pytest.fixture
def row(ledger: Callable[..., Ledger], clock: dict[str, float]) -> Any:
    with ledger("lr=1e-3,1e-2") as ours:
        (row, *_) = ours.rows
    row.started = clock["now"]
    return row


def test_a_trial_is_stopped_once_and_killed_when_it_does_not_save(row: Any, clock: dict[str, float]) -> None:
    limits = TimeLimits(Limits(timeout=10.0))
    clock["now"] += 10
    assert limits.look({0: row}) == ([], [])
    clock["now"] += 0.1
    assert limits.look({0: row}) == ([0], [])
    clock["now"] += SECONDS_TO_SAVE
    assert limits.look({0: row}) == ([], [])
    clock["now"] += 0.1
    assert limits.look({0: row}) == ([], [0])
    assert limits.look({0: row}) == ([], [])
    assert limits.ended(row)
    assert not limits.ended(row)


@pytest.mark.parametrize(("continues", "stopped"), [(True, [0]), (False, [])])
def test_the_parts_of_a_trial_that_pauses_count_together_and_an_attempt_anew_counts_by_itself(
    row: Any, clock: dict[str, float], continues: bool, stopped: list[int]
) -> None:
    limits = TimeLimits(Limits(timeout=10.0))
    for _ in range(2):
        clock["now"] += 4
        assert limits.look({0: row}) == ([], [])
        assert not limits.ended(row)
        clock["now"] += 100  # others run
        row.started, row.continues = clock["now"], continues
    clock["now"] += 4
    assert limits.look({0: row}) == (stopped, [])


def test_without_limits_nothing_is_stopped(row: Any, clock: dict[str, float]) -> None:
    limits = TimeLimits(Limits())
    clock["now"] += 1e9
    assert limits.look({0: row}) == ([], [])
    assert not limits.is_up


def test_the_time_of_a_sweep_is_counted_from_its_start(clock: dict[str, float]) -> None:
    limits = TimeLimits(Limits(max_hours=1.0))
    clock["now"] += 3599
    assert not limits.is_up
    clock["now"] += 1
    assert limits.is_up
