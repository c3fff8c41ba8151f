from __future__ import annotations

import io
import subprocess
import sys

import pytest

from recrun.report.terminal.console import UNLIMITED, is_live, stderr_console, stdout_console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_results_go_to_stdout_and_the_rest_to_stderr(capsys):
    stdout_console().print("a result")
    stderr_console().print("a warning")
    assert capsys.readouterr() == ("a result\n", "a warning\n")


def test_what_is_piped_is_wide_and_plain(capsys):
    console = stdout_console()
    assert console.width == UNLIMITED
    assert not is_live(console)
    console.print("bold", style="bold red")
    assert capsys.readouterr().out == "bold\n"


def test_brackets_and_colons_are_text(capsys):
    stdout_console().print("[red]recall[/red] :smile:")
    assert capsys.readouterr().out == "[red]recall[/red] :smile:\n"


@pytest.mark.parametrize(
    ("variables", "live"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_is_drawn_over_unless_told_otherwise(monkeypatch, variables, live):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert is_live(stderr_console()) == live


def test_a_forced_colour_does_not_animate_a_pipe(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not is_live(stderr_console())


def test_no_color_means_no_codes_at_all(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    stdout_console().print("bold", style="bold red")
    assert terminal.getvalue() == "bold\n"


def test_a_stream_of_few_letters_does_not_end_the_run(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    stdout_console().print("café")
    stream.flush()
    assert stream.buffer.getvalue() == b"caf\\xe9\n"


def test_importing_the_package_loads_nothing_heavy():
    heavy = "rich", "matplotlib", "tensorboard", "torch", "numpy", "polars", "scipy"
    program = f"import sys, recrun.report; print(sorted(set({heavy!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
