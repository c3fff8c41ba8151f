from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

from recrun.report.terminal.live import LiveReporter

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def test_a_pipe_gets_one_line_for_each_evaluation_and_no_control_codes(screen, fake_run):
    console = screen(terminal=False)
    reporter = LiveReporter(console, 1)
    fake_run(reporter)
    reporter.close()
    lines = console.file.getvalue().splitlines()
    assert not any("\x1b" in line or "\r" in line for line in lines)
    assert lines[:4] == [
        "BPRMF",
        "model   bprmf, 4,533,696 parameters, on cpu",
        "data    Gowalla_m1: 29,858 users, 40,981 items, 729,115 train, 217,242 test",
        "run     runs/BPRMF/Gowalla_m1/one",
    ]
    assert len(lines) == 4 + 31 + 1
    assert lines[4] == (
        "epoch  0/30  valid  recall@10 0.0880  recall@20 0.0440  ndcg@10 0.0293  ndcg@20 0.0220  [eval 1.50 s]  best"
    )
    assert lines[6] == (
        "epoch  2/30  valid  train loss 0.7788  recall@10 0.0960  recall@20 0.0480  ndcg@10 0.0320  ndcg@20 0.0240"
        "  [train 12.0 s, eval 1.50 s]  best"
    )
    assert lines[-1].startswith("epoch 18/30  test   train loss 0.1054  recall@10 0.1600")


def test_no_color_makes_a_terminal_plain(screen, fake_run):
    console = screen(no_color=True)
    reporter = LiveReporter(console, 1)
    fake_run(reporter)
    reporter.message("take care", "warning")
    reporter.close()
    assert "\x1b" not in console.file.getvalue()
    assert len(console.file.getvalue().splitlines()) == 37


def test_a_dumb_terminal_is_not_drawn_over(screen, fake_run, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console = screen()
    reporter = LiveReporter(console, 1)
    fake_run(reporter)
    reporter.close()
    assert "\x1b" not in console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_warnings_and_errors_only(screen, fake_run, terminal):
    console = screen(terminal=terminal)
    reporter = LiveReporter(console, 0)
    fake_run(reporter)
    reporter.message("all is well")
    reporter.message("take care", "warning")
    reporter.message("it broke", "error")
    reporter.close()
    assert console.file.getvalue() == "warning: take care\nerror: it broke\n"


def test_more_verbose_tells_every_epoch_and_more_of_the_run(screen, fake_run):
    console = screen(terminal=False)
    reporter = LiveReporter(console, 2)
    fake_run(reporter)
    reporter.close()
    text = console.file.getvalue()
    assert "epochs  30, 40 steps each\n" in text
    assert "best    by ndcg@20\n" in text
    assert text.count("  train  loss ") == 30


def test_a_terminal_keeps_the_last_ten_rows_and_the_best_one(screen, fake_run):
    console = screen()
    reporter = LiveReporter(console, 1)
    fake_run(reporter)
    reporter.close()
    lines = _last_frame(console.file.getvalue())
    assert lines[0].rstrip() == "BPRMF"
    heads = [
        "epoch",
        "split",
        "train",
        "loss",
        "recall@10",
        "recall@20",
        "ndcg@10",
        "ndcg@20",
        "train",
        "s",
        "eval",
        "s",
    ]
    start = next(i for i, line in enumerate(lines) if line.split() == heads)
    rows = [line.split() for line in lines[start + 2 :]]
    assert rows[0] == ["★", "18", "valid", "0.1054", "0.1600", "0.0800", "0.0533", "0.0400", "12.0", "1.5"]
    assert rows[1] == ["⋮"]
    assert [row[0] for row in rows[2:12]] == [*map(str, range(22, 31)), "18"]
    assert rows[11][:3] == ["18", "test", "0.1054"]
    assert lines[-1].startswith("done after 30 epochs, ")


def test_the_cursor_comes_back_when_a_run_fails(screen, fake_info):
    console = screen()
    reporter = LiveReporter(console, 1)

    def fail() -> None:
        try:
            reporter.start(fake_info())
            reporter.step(0, 1, 40)
            raise RuntimeError("out of memory")
        finally:
            reporter.close()

    with pytest.raises(RuntimeError):
        fail()
    text = console.file.getvalue()
    assert text.rindex(SHOW_CURSOR) > text.rindex(HIDE_CURSOR)
    assert "stopped\x1b[0m after 0 epochs, " in text
    reporter.close()
    reporter.step(0, 2, 40)
    assert console.file.getvalue() == text


def test_the_cursor_comes_back_when_nobody_closes():
    program = (
        "import io\nfrom rich.console import Console\n"
        "from recrun.report.terminal.live import LiveReporter\nimport sys\n"
        "reporter = LiveReporter(Console(file=sys.stderr, force_terminal=True, force_interactive=True), 1)\n"
        "reporter.start({'epochs': 3})\nraise SystemExit(1)\n"
    )
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert done.stderr.rindex(SHOW_CURSOR) > done.stderr.rindex(HIDE_CURSOR)


@pytest.mark.parametrize("terminal", [True, False])
def test_messages_are_shown_as_they_are(screen, fake_info, terminal):
    console = screen(terminal=terminal)
    reporter = LiveReporter(console, 1)
    reporter.start(fake_info())
    reporter.message("column [user] is :empty:", "warning")
    reporter.close()
    assert "warning: column [user] is :empty:" in console.file.getvalue()


def test_long_lines_of_a_pipe_are_not_folded(screen, fake_run, many_monitors):
    console = screen(terminal=False, width=80)
    reporter = LiveReporter(console, 1)
    fake_run(reporter, many_monitors)
    reporter.close()
    assert len(console.file.getvalue().splitlines()) == 36


def test_what_a_script_prints_stays_on_stdout(screen, fake_info, capsys):
    console = screen()
    reporter = LiveReporter(console, 1)
    reporter.start(fake_info())
    print("a line of a user's script")
    reporter.close()
    assert capsys.readouterr().out == "a line of a user's script\n"
    assert "a line of" not in console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_an_evaluation_without_a_run_is_shown_too(screen, terminal):
    console = screen(terminal=terminal)
    reporter = LiveReporter(console, 1)
    reporter.evaluating(3, "test", 10, 20)
    reporter.evaluated(3, "test", {"recall@20": 0.5}, False, 0.5)
    reporter.finish({})
    reporter.close()
    assert "0.5000" in console.file.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_values_that_are_not_finite_are_shown(screen, fake_info, terminal):
    console = screen(terminal=terminal)
    reporter = LiveReporter(console, 1)
    reporter.start(fake_info())
    reporter.trained(1, {"loss": math.nan, "lr": math.inf}, 1.0)
    reporter.evaluated(1, "valid", {"ndcg@20": math.nan, "recall@20": 0.25}, True, 1.0)
    reporter.close()
    text = console.file.getvalue()
    assert "nan" in text
    assert "inf" in text
    assert "0.2500" in text


def _last_frame(text: str) -> list[str]:
    """The lines of the last drawing, without its styles."""
    from rich.text import Text

    return Text.from_ansi(text[text.rindex("BPRMF\x1b") :].split(SHOW_CURSOR)[0]).plain.rstrip().splitlines()
