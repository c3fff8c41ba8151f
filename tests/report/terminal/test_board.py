from __future__ import annotations

import pytest

from recrun.report.terminal.board import Board


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def test_the_time_left_follows_the_pace_of_the_whole_run():
    clock = Clock()
    board = Board(now=clock)
    board.start({"epochs": 10})
    assert board.remaining is None
    clock.time += 20
    board.trained(2, {"loss": 1.0}, 9.0)
    assert board.remaining == pytest.approx(80)
    board.step(1, 4, None)
    board.step(2, 4, None)
    clock.time += 5
    assert board.epochs_done == 2.5
    assert board.remaining == pytest.approx(75)


def test_a_resumed_run_does_not_count_the_epochs_it_did_not_do():
    clock = Clock()
    board = Board(now=clock)
    board.start({"epochs": 10, "resumed_from": 8})
    clock.time += 30
    board.trained(9, {}, 30.0)
    assert board.remaining == pytest.approx(30)


def test_steps_are_counted_from_where_they_were_first_seen():
    clock = Clock()
    board = Board(now=clock)
    board.step(100, 400, None)
    assert board.steps_per_second is None
    clock.time += 2
    board.step(150, 400, None)
    assert board.steps_per_second == 25
    board.trained(1, {}, 1.0)
    board.step(1, 400, None)
    assert board.steps_per_second == 25


def test_the_best_row_is_the_last_that_was_best():
    board = Board()
    for epoch, is_best in enumerate([True, False, True, False]):
        board.evaluated(epoch, "valid", {"ndcg@20": 0.1}, is_best, 1.0)
    assert board.best is board.rows[2]


def test_training_time_adds_up_over_epochs_without_an_evaluation():
    board = Board()
    board.trained(1, {"loss": 3.0}, 2.0)
    board.trained(2, {"loss": 2.0}, 3.0)
    first = board.evaluated(2, "valid", {"ndcg@20": 0.1}, True, 1.0)
    second = board.evaluated(2, "test", {"ndcg@20": 0.1}, False, 1.0)
    assert (first.train_seconds, second.train_seconds) == (5.0, 0.0)
    assert first.train == second.train == {"loss": 2.0}


def test_columns_follow_the_monitors_and_then_what_turned_up():
    board = Board()
    board.start({"monitors": ["loss", "recall@20", "auc", "ndcg@20"]})
    assert board.columns() == ([], ["recall@20", "auc", "ndcg@20"])
    board.evaluated(0, "valid", {"ndcg@20": 0.1, "extra": 1.0, "recall@20": 0.2}, True, 1.0)
    assert board.columns() == ([], ["recall@20", "ndcg@20", "extra"])
