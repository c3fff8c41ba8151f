from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from recrun.report.terminal.board import Board
from recrun.report.terminal.frame import Frame


@pytest.fixture
def board(fake_info):
    clock = iter(range(10_000))
    return Board(now=lambda: float(next(clock)), info=fake_info())


def _draw(board: Board, width: int, height: int, verbose: int = 1, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None, highlight=False)
    return [line.rstrip() for line in _capture(console, Frame(board, verbose))]


def _capture(console: Console, frame: Frame) -> list[str]:
    with console.capture() as capture:
        console.print(frame)
    return capture.get().splitlines()


def _evaluate(board: Board, names: tuple[str, ...], epochs: int, best: int) -> None:
    for epoch in range(epochs):
        board.trained(epoch + 1, {"loss": 0.5, "lr": 1e-3}, 2.0)
        board.evaluated(epoch + 1, "valid", dict.fromkeys(names, 0.1234), epoch + 1 == best, 1.0)


def test_a_wide_terminal_shows_everything(board):
    board.start(board.info)
    _evaluate(board, ("recall@20", "ndcg@20"), 3, best=2)
    board.step(10, 40, 0.25)
    lines = _draw(board, 100, 40)
    assert lines[:4] == [
        "BPRMF",
        "model  bprmf, 4,533,696 parameters, on cpu",
        "data   Gowalla_m1: 29,858 users, 40,981 items, 729,115 train, 217,242 test",
        "run    runs/BPRMF/Gowalla_m1/one",
    ]
    assert lines[4:11] == [
        "",
        "epoch  train loss      lr  recall@20  ndcg@20  train s  eval s",
        "──────────────────────────────────────────────────────────────",
        "    1      0.5000  0.0010     0.1234   0.1234      2.0     1.0",
        "  ★ 2      0.5000  0.0010     0.1234   0.1234      2.0     1.0",
        "    3      0.5000  0.0010     0.1234   0.1234      2.0     1.0",
        "",
    ]
    assert lines[11].startswith("epoch 4/30")
    assert "ETA" in lines[11]
    assert lines[12].startswith("step 10/40")
    assert "loss 0.2500" in lines[12]


def test_ranking_takes_the_place_of_the_steps(board):
    _evaluate(board, ("ndcg@20",), 3, best=2)
    board.evaluating("valid", 10_000, 29_858)
    board.evaluating("valid", 20_000, 29_858)
    lines = _draw(board, 100, 40)
    assert lines[-2].startswith("epoch 3/30")
    assert lines[-1].startswith("valid 20,000/29,858  ━")
    assert "users/s" in lines[-1]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("height", [8, 12, 16, 24, 50])
def test_a_view_stays_within_its_terminal(board, many_monitors, width, height):
    names = many_monitors[1:]
    board.start(board.info)
    _evaluate(board, names, 30, best=3)
    board.step(10, 40, 0.25)
    for _ in range(2):
        lines = _draw(board, width, height)
        assert max(map(cell_len, lines)) <= width
        assert len(lines) <= max(height, 11)
        assert any("ndcg" in line for line in lines)
        assert any(line.split()[:2] == ["★", "3"] for line in lines)
        assert lines[-2].startswith("epoch 30/30")
        board.evaluating("valid", 10, 100)


def test_a_narrow_terminal_drops_times_and_rates_before_monitors_and_never_the_one_that_chooses(
    board, fake_info, many_monitors
):
    board.start(fake_info(many_monitors))
    _evaluate(board, many_monitors[1:], 3, best=3)
    lines = _draw(board, 90, 40)
    assert lines[5].split() == ["train", *["recall"] * 3, *["precision"] * 3, "hitrate", "ndcg"]
    assert lines[6].split() == ["epoch", "loss", "@5", "@10", "@20", "@5", "@10", "@20", "@5", "@20"]
    assert "too narrow for: lr, hitrate@10, hitrate@20, ndcg@5, ndcg@10, train s, eval s" in lines


def test_headers_break_before_columns_are_dropped(board):
    names = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    _evaluate(board, names, 3, best=3)
    lines = _draw(board, 70, 40)
    assert "        train          recall  recall    ndcg    ndcg  train  eval" in lines
    assert "epoch    loss      lr     @10     @20     @10     @20      s     s" in lines
    assert not any(line.startswith("too narrow") for line in lines)


def test_a_terminal_that_shows_ascii_only_gets_nothing_else(board):
    _evaluate(board, ("ndcg@20",), 30, best=3)
    board.step(10, 40, 0.25)
    text = "\n".join(_draw(board, 80, 40, encoding="ascii"))
    assert text.isascii()
    assert "* 3" in text


def test_more_verbose_shows_more_rows_and_facts(board):
    _evaluate(board, ("ndcg@20",), 30, best=30)
    lines = _draw(board, 80, 60, verbose=2)
    assert sum("0.1234" in line for line in lines) == 20
    assert "watches  loss, recall@10, recall@20, ndcg@10, ndcg@20" in lines


def test_an_unknown_number_of_steps_has_no_bar(board):
    board.step(5, None, None)
    assert _draw(board, 80, 40)[-1] == "step 5"


def test_a_board_without_anything_draws_nothing():
    assert not any(_draw(Board(), 80, 24))
