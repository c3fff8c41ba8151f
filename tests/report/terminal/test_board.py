from __future__ import annotations

from recrun.report.terminal.board import MAX_ROWS, Board
from recrun.runs.history import Part


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


def test_a_long_run_keeps_its_last_rows_and_its_best():
    board = Board()
    for epoch in range(5 * MAX_ROWS):
        board.trained(epoch, {"loss": epoch}, 1.0)
        board.evaluated(epoch, "valid", {"ndcg@20": 0.1}, epoch == 7, 1.0)
    assert [row.epoch for row in board.rows] == list(range(4 * MAX_ROWS, 5 * MAX_ROWS))
    assert board.best is not None
    assert (board.best.epoch, board.best.train) == (7, {"loss": 7})
    assert board.evaluated(7, "test", {"ndcg@20": 0.1}, False, 1.0).train == {"loss": 7}


def test_training_time_from_before_a_resume_is_unknown_where_lines_are_missing():
    def line(epoch, split, **values):
        return {"epoch": epoch, "split": split, "values": values, "best": split == "valid", "seconds": 2.0}

    lines = [
        line(1, "train", loss=1.0),
        line(1, "valid", auc=0.5),
        line(2, "train", loss=0.5),
        line(2, "valid", auc=0.6),
    ]
    for is_first, seconds in ((True, [2.0, 2.0]), (False, [None, 2.0])):
        board = Board()
        board.recall([Part(lines, is_first)])
        assert [row.train_seconds for row in board.rows] == seconds


def test_columns_follow_the_monitors_and_then_what_turned_up():
    board = Board({"monitors": ["loss", "recall@20", "auc", "ndcg@20"]})
    board.evaluated(0, "valid", {"ndcg@20": 0.1, "extra": 1.0, "recall@20": 0.2}, True, 1.0)
    assert board.columns() == ([], ["recall@20", "ndcg@20", "extra"])
