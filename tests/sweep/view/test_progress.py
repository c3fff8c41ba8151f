from __future__ import annotations

from collections.abc import Callable

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.view.pace import Pace
from recrun.sweep.view.progress import bar, best_so_far, counts_of, progress_view, shown_rows
from tests.sweep.view.conftest import fill, lines_of

MakeStudy = Callable[..., Ledger]


def wide(study: MakeStudy) -> Ledger:
    ours = study(
        "bprmf",
        "lr=1e-4..1e-1:log",
        "embedding_dim=8..64:log",
        "weight_decay=0..0.1",
        "batch_size=256..4096:log",
        "lr_scheduler=none,cosine",
        "description='a description that is far longer than any table'",
        "seed=1,2",
        search="random",
        trials=50,
    )
    fill(ours, [0.1 + place / 1000 for place in range(30)])
    ours.rows[7].status, ours.rows[7].cause = "failed", "RuntimeError: " + "the device is out of memory " * 9
    ours.rows[30].status = ours.rows[31].status = "running"
    return ours


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("height", [24, 50])
def test_the_live_table_fits_into_the_terminal(study: MakeStudy, width: int, height: int) -> None:
    ours = wide(study)
    lines = lines_of(progress_view(ours, Pace(ours), height), width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) < height  # rich would cut off the end, where the counts are
    text = "\n".join(lines)
    assert "30/100" in text
    assert "29 done, 2 running, 1 failed, 68 pending" in text


def test_the_best_so_far_is_a_point_with_its_mean(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-3,1e-2", "seed=1,2")
    assert best_so_far(ours) == ""
    fill(ours, [0.1, 0.3, 0.9])
    assert best_so_far(ours) == "best    ndcg@20 0.2000 over 2: lr=0.001"  # the other has one seed only so far


def test_of_several_criteria_the_size_of_the_front_is_told(study: MakeStudy) -> None:
    both = "[ndcg@20,coverage@20]"
    ours = study("bprmf", "lr=1e-4,1e-3,1e-2", f"monitors={both}", f"which4best={both}")
    fill(ours, [{"ndcg@20": 0.1, "coverage@20": 0.5}, {"ndcg@20": 0.2, "coverage@20": 0.9}])
    assert best_so_far(ours) == "front   1 of 2 points"


def test_points_that_are_not_drawn_yet_are_counted(study: MakeStudy) -> None:
    ours = study("bprmf", "lr=1e-4..1e-2:log", search="tpe", trials=10)
    assert counts_of(ours) == "10 not drawn yet"


@pytest.mark.parametrize(("n", "total", "filled"), [(0, 10, 0), (5, 10, 15), (10, 10, 30), (0, 0, 30), (12, 10, 30)])
def test_the_bar_is_filled_in_proportion(n: int, total: int, filled: int) -> None:
    assert bar(n, total) == f"[{'#' * filled}{' ' * (30 - filled)}] {n}/{total}"


def test_the_rows_around_the_running_ones_are_as_many_as_fit(study: MakeStudy) -> None:
    ours = wide(study)
    assert [row.trial.index for row in shown_rows(ours.rows, 6)] == [27, 28, 29, 30, 31, 32]


def test_of_many_trials_the_view_shows_those_around_the_running_ones(ledger: MakeStudy) -> None:
    ours = ledger("seed=" + ",".join(map(str, range(100))))

    def shown() -> tuple[int, int, int]:
        indices = [row.trial.index for row in shown_rows(ours.rows)]
        return indices[0], indices[-1], len(indices)

    assert shown() == (0, 19, 20)
    for row in ours.rows[:50]:
        row.status = "done"
    assert shown() == (40, 59, 20)
    for row in ours.rows:
        row.status = "done"
    assert shown() == (80, 99, 20)
