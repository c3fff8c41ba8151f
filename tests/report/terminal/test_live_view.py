"""What is drawn while a run goes, at every size of the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.cells import cell_len
from rich.console import Console

from recrun.report.terminal.live import LiveReporter


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reporter_of(screen, clock) -> Callable[..., LiveReporter]:
    """Make a reporter that draws when it is asked to, see `draw`."""

    def make(width: int = 100, height: int = 40, verbose: int = 1, encoding: str = "utf-8") -> LiveReporter:
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        console: Console = screen(terminal=False, width=width, height=height, file=file, get_time=clock)
        return LiveReporter(console, verbose)

    return make


def draw(reporter: LiveReporter) -> list[str]:
    console = reporter._console
    with console.capture() as capture:
        console.print(reporter.view())
    return [line.rstrip() for line in capture.get().splitlines()]


def evaluate(reporter: LiveReporter, names: tuple[str, ...], epochs: int, best: int) -> None:
    for epoch in range(epochs):
        reporter.trained(epoch + 1, {"loss": 0.5, "lr": 1e-3}, 2.0)
        reporter.evaluated(epoch + 1, "valid", dict.fromkeys(names, 0.1234), epoch + 1 == best, 1.0)


def test_a_wide_terminal_shows_everything(reporter_of, fake_info):
    reporter = reporter_of()
    reporter.start(fake_info())
    evaluate(reporter, ("recall@20", "ndcg@20"), 3, best=2)
    reporter.step(3, 10, 40, 0.25)
    lines = draw(reporter)
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
    assert lines[12].startswith("step 10/40           ━")
    assert "loss 0.2500" in lines[12]


def test_ranking_takes_the_place_of_the_steps(reporter_of, fake_info, clock):
    reporter = reporter_of()
    reporter.start(fake_info())
    evaluate(reporter, ("ndcg@20",), 3, best=2)
    reporter.step(3, 10, 40, 0.25)
    reporter.trained(4, {"loss": 0.25}, 2.0)
    reporter.evaluating(4, "valid", 10_000, 29_858)
    clock.time += 2
    reporter.evaluating(4, "valid", 15_000, 29_858)
    clock.time += 2
    reporter.evaluating(4, "valid", 20_000, 29_858)
    lines = draw(reporter)
    assert lines[-2].startswith("epoch 4/30")
    assert lines[-1].startswith("valid 20,000/29,858  ━")
    assert lines[-1].endswith("2,500 users/s")


def test_the_time_left_follows_the_pace_of_the_whole_run(reporter_of, clock):
    reporter = reporter_of()
    reporter.start({"epochs": 10})
    assert draw(reporter)[-1].endswith("ETA -:--:--  elapsed 0:00:00")
    clock.time += 20
    reporter.trained(2, {"loss": 1.0}, 9.0)
    assert draw(reporter)[-1].endswith("ETA 0:01:20  elapsed 0:00:20")
    clock.time += 5
    reporter.step(2, 2, 4)
    assert draw(reporter)[-2].endswith("ETA 0:01:15  elapsed 0:00:25")


def test_a_resumed_run_does_not_count_the_epochs_it_did_not_do(reporter_of, clock):
    reporter = reporter_of()
    reporter.start({"epochs": 10, "resumed_from": 8})
    clock.time += 30
    reporter.trained(9, {}, 30.0)
    assert draw(reporter)[-1].endswith("ETA 0:00:30  elapsed 0:00:30")


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("height", [8, 12, 16, 24, 50])
def test_a_view_stays_within_its_terminal(reporter_of, fake_info, many_monitors, width, height):
    reporter = reporter_of(width, height)
    reporter.start(fake_info())
    evaluate(reporter, many_monitors[1:], 30, best=3)
    reporter.step(29, 10, 40, 0.25)
    for _ in range(2):
        lines = draw(reporter)
        assert max(map(cell_len, lines)) <= width
        assert len(lines) <= max(height, 11)
        assert any("ndcg" in line for line in lines)
        assert any(line.split()[:2] == ["★", "3"] for line in lines)
        assert lines[-2].startswith("epoch 30/30")
        reporter.evaluating(30, "valid", 10, 100)


def test_a_narrow_terminal_drops_times_and_rates_before_monitors_and_never_the_one_that_chooses(
    reporter_of, fake_info, many_monitors
):
    reporter = reporter_of(90)
    reporter.start(fake_info(many_monitors))
    evaluate(reporter, many_monitors[1:], 3, best=3)
    lines = draw(reporter)
    assert lines[5].split() == ["train", *["recall"] * 3, *["precision"] * 3, "hitrate", "ndcg"]
    assert lines[6].split() == ["epoch", "loss", "@5", "@10", "@20", "@5", "@10", "@20", "@5", "@20"]
    assert "too narrow for: lr, hitrate@10, hitrate@20, ndcg@5, ndcg@10, train s, eval s" in lines


def test_headers_break_before_columns_are_dropped(reporter_of):
    reporter = reporter_of(70)
    evaluate(reporter, ("recall@10", "recall@20", "ndcg@10", "ndcg@20"), 3, best=3)
    lines = draw(reporter)
    assert "        train          recall  recall    ndcg    ndcg  train  eval" in lines
    assert "epoch    loss      lr     @10     @20     @10     @20      s     s" in lines
    assert not any(line.startswith("too narrow") for line in lines)


def test_a_terminal_that_shows_ascii_only_gets_nothing_else(reporter_of, fake_info):
    reporter = reporter_of(80, encoding="ascii")
    reporter.start(fake_info())
    evaluate(reporter, ("ndcg@20",), 30, best=3)
    reporter.step(29, 10, 40, 0.25)
    text = "\n".join(draw(reporter))
    assert text.isascii()
    assert "* 3" in text


def test_more_verbose_shows_more_rows_and_facts(reporter_of, fake_info):
    reporter = reporter_of(80, 60, verbose=2)
    reporter.start(fake_info())
    evaluate(reporter, ("ndcg@20",), 30, best=30)
    lines = draw(reporter)
    assert sum("0.1234" in line for line in lines) == 20
    assert "metrics  loss, recall@10, recall@20, ndcg@10, ndcg@20" in lines


def test_an_unknown_number_of_steps_and_epochs_is_shown_too(reporter_of):
    reporter = reporter_of(80)
    reporter.start({})
    reporter.step(0, 5, None)
    assert draw(reporter)[-1].startswith("step 5 ")


def test_a_run_without_anything_draws_nothing(reporter_of):
    assert not any(draw(reporter_of(80, 24)))
