from __future__ import annotations

from recrun.report.terminal.board import Board


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


def test_an_epoch_that_is_evaluated_once_more_keeps_one_row():
    board = Board()
    board.recall([{"epoch": 1, "split": "valid", "values": {"ndcg@20": 0.1}, "best": True, "seconds": 1.0}])
    board.evaluated(1, "valid", {"ndcg@20": 0.1}, True, 1.0)
    assert len(board.rows) == 1


def test_columns_follow_the_monitors_and_then_what_turned_up():
    board = Board({"monitors": ["loss", "recall@20", "auc", "ndcg@20"]})
    board.evaluated(0, "valid", {"ndcg@20": 0.1, "extra": 1.0, "recall@20": 0.2}, True, 1.0)
    assert board.columns() == ([], ["recall@20", "ndcg@20", "extra"])
