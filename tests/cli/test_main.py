from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

import recrun as package
from recrun.cli import main as module
from recrun.cli.main import _escaped_messages, cli
from recrun.errors import CheckpointError, ConfigError, DataError, Fault, RegistryError, TrainingError

from .conftest import Outcome, modules_after
from .on_terminal import on_terminal

Run = Callable[..., Outcome]
CONTEXT = click.Context(cli)
COMMANDS = {name: cli.get_command(CONTEXT, name) for name in cli.list_commands(CONTEXT)}  # type: ignore[attr-defined]


def test_every_command_is_a_file_of_its_own() -> None:
    assert {"train", "eval", "sweep", "list", "show", "validate", "schema"} <= set(COMMANDS)
    assert None not in COMMANDS.values()


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command_with_an_example(recrun: Run, flag: str) -> None:
    outcome = recrun(flag)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Example:\n" in outcome.out
    assert all(f"\n  {name} " in outcome.out for name in COMMANDS)


@pytest.mark.parametrize("command", [["list", "runs"], ["train", "bprmf"], ["data", "describe", "x.csv"], ["list"]])
def test_a_working_folder_that_was_removed_is_one_line(
    recrun: Run, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    outcome = recrun(*command)
    monkeypatch.chdir(tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: the working folder was removed; change to another\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_one_runnable_example(recrun: Run, name: str) -> None:
    for flag in ("-h", "--help"):
        outcome = recrun(name, flag)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.count(f"\n    Example:\n        recrun {name} ".replace("    ", "  ")) == 1 or (
            outcome.out.count("Example:") == 1 and f"recrun {name}" in outcome.out.partition("Example:")[2]
        )


def test_the_version_is_that_of_the_package(recrun: Run) -> None:
    assert recrun("--version").out == f"recrun {package.__version__}\n"


def test_an_unknown_command_names_the_nearest(recrun: Run) -> None:
    outcome = recrun("trian", "bprmf")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no command 'trian'; did you mean 'train'?" in outcome.err


@pytest.mark.parametrize("arguments", [("train", "--nonsense"), ("list",), ("show",), ("eval",), ("validate",)])
def test_wrong_usage_is_exit_code_2(recrun: Run, arguments: tuple[str, ...]) -> None:
    outcome = recrun(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: recrun" in outcome.err
    assert outcome.is_untouched


def _raise(error: BaseException) -> click.Command:
    @click.command("fail")
    @click.option("--debug", is_flag=True, expose_value=False)
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError([Fault("one", "a"), Fault("two", "b")]), 2, "error: a: one\nerror: b: two\n"),
        (RegistryError("no such thing"), 2, "error: no such thing\n"),
        (DataError("no data"), 2, "error: no data\n"),
        (CheckpointError("no checkpoint"), 2, "error: no checkpoint\n"),
        (TrainingError("the loss is nan"), 1, "error: the loss is nan\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    recrun: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    monkeypatch.setattr(module.Commands, "get_command", lambda *_: _raise(error))
    outcome = recrun("show")
    assert (outcome.code, outcome.out, outcome.err.lstrip("\n")) == (code, "", line)


def test_a_failure_is_told_though_a_request_to_stop_comes_before_it_is(
    recrun: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        try:
            raise TrainingError("the run failed; continue with: recrun train --resume RUN")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(module.Commands, "get_command", fail)
    outcome = recrun("show")
    assert (outcome.code, outcome.err.lstrip("\n")) == (
        1,
        "error: the run failed; continue with: recrun train --resume RUN\n",
    )


def test_an_error_that_is_not_ours_says_where_and_how_to_see_more(recrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Commands, "get_command", lambda *_: _raise(ZeroDivisionError("by zero")))
    outcome = recrun("show")
    assert outcome.code == 1
    assert outcome.err.startswith("error: ZeroDivisionError: by zero [")
    assert outcome.err.endswith("(--debug shows the traceback)\n")
    assert len(outcome.err.splitlines()) == 1


def test_debug_shows_the_traceback_before_or_after_the_command(recrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Commands, "get_command", lambda *_: _raise(ConfigError("x")))
    for arguments in (("--debug", "show"), ("show", "--debug")):
        outcome = recrun(*arguments)
        assert outcome.code == 2
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.err.endswith("error: x\n")
    assert "Traceback" not in recrun("show").err


def test_errors_are_red_on_a_terminal_unless_no_color_is_set(tmp_path: Path) -> None:
    of_errors: dict[str, Any] = {"width": 80, "folder": tmp_path, "stream": "stderr", "code": 2}
    assert on_terminal("show", "nonsense", **of_errors).startswith("\x1b[31merror: unknown component 'nonsense'")
    assert "\x1b" not in on_terminal("show", "nonsense", NO_COLOR="1", **of_errors)


def test_there_is_no_colour_where_there_is_no_terminal(recrun: Run) -> None:
    assert "\x1b" not in recrun("show", "nonsense").err
    assert "\x1b" not in recrun("list", "models").out


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m recrun schema | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_python_m_recrun_is_recrun() -> None:
    done = subprocess.run([sys.executable, "-m", "recrun", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"recrun {package.__version__}\n"


@pytest.mark.parametrize("command", [(), ("new",)])
def test_summaries_of_commands_fit_a_terminal_of_80_columns(
    recrun: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = recrun(*command, "-h").out.partition("Commands:")[2].splitlines()
    assert [line for line in lines if line.endswith("...") or len(line) > 80] == []
    assert all(line.startswith("  ") and line[2] != " " for line in lines if line)


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("sweep", "--help"), ("eval", "--help")])
def test_asking_for_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    heavy = ("torch", "numpy", "polars", "scipy", "rich", "matplotlib", "yaml", "pydantic", "importlib.metadata")
    assert modules_after(*arguments, names=heavy) == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        ("- a", ()),
        ("model: bprfm", ()),
        ("model: bprmf\nepohs: 1", ()),
        ("model: bprmf\nlr: -1", ()),
        ("model: bprmf\nmonitors: [recall]", ()),
        ("model: bprmf", ("lr=x",)),
        ("model: bprmf", ("epohs=1",)),
        ("model: bprmf", ("stray",)),
        ("model: bprmf\nmodel: ease", ()),
        ("model:\tbprmf", ()),
        ("model: ease\nlr: 1", ()),
        ("model: &a bprmf", ()),
    ],
)
@pytest.mark.parametrize("options", [(), ("--print-config",), ("--dry-run",)])
def test_training_starts_nothing_and_makes_no_folder_when_the_config_is_faulty(
    recrun: Run, text: str, arguments: tuple[str, ...], options: tuple[str, ...]
) -> None:
    recrun("--version").folder.joinpath("a.yaml").write_text(text)
    outcome = recrun("train", "a.yaml", *arguments, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert all(line.startswith(("error: a.yaml", "error: argument 1")) for line in outcome.err.splitlines())
    assert [path.name for path in outcome.folder.iterdir()] == ["a.yaml"]


def test_print_config_prints_a_config_that_prints_itself(recrun: Run) -> None:
    first = recrun("train", "bprmf", "lr=2e-3", "description=1e-3", "--print-config")
    assert (first.code, first.err) == (0, "")
    (first.folder / "printed.yaml").write_text(first.out)
    assert recrun("train", "printed.yaml", "--print-config").out == first.out
    assert first.is_untouched


def test_quiet_and_loud_are_for_one_command_and_cannot_contradict_verbose(recrun: Run) -> None:
    for flag in ("-q", "-v"):
        assert "verbose: 1\n" in recrun("train", "bprmf", flag, "--print-config").out
    for arguments in (("-q", "-v"), ("-q", "verbose=2")):
        outcome = recrun("train", "bprmf", *arguments)
        assert (outcome.code, outcome.out) == (2, "")
        assert "-q and -v" in outcome.err


@pytest.mark.parametrize("group", [(), ("data",), ("new",)])
def test_a_group_without_a_command_prints_its_help(recrun: Run, group: tuple[str, ...]) -> None:
    outcome, asked = recrun(*group), recrun(*group, "--help")
    is_error = hasattr(click.exceptions, "NoArgsIsHelpError")  # since click 8.2
    expected = (2, "", asked.out) if is_error else (0, asked.out, "")
    assert (outcome.code, outcome.out, outcome.err) == expected


def test_a_missing_choice_is_answered_with_all_on_one_line(recrun: Run) -> None:
    outcome = recrun("completion")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith("\nError: Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish\n")


def test_a_run_without_plots_says_so_once(recrun: Run) -> None:
    assert "plots: true\n" in recrun("train", "bprmf", "--print-config").out
    assert "plots: false\n" in recrun("train", "bprmf", "--no-plots", "--print-config").out
    outcome = recrun("train", "bprmf", "--no-plots", "plots=false")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--no-plots sets plots; give either --no-plots or plots=..." in outcome.err


def test_a_setting_given_with_dashes_is_told_how_it_is_given(recrun: Run) -> None:
    outcome = recrun("train", "--batch-size", "512")
    assert outcome.code == 2
    assert (
        "No such option '--batch-size'; a setting is given as KEY=VALUE, without dashes: batch_size=512" in outcome.err
    )
    assert "KEY=VALUE, without dashes" not in recrun("list", "models", "--lr").err


@pytest.mark.parametrize("module", ["mine", "tensorboard.summary.writer"])
def test_an_error_of_a_thread_is_one_line_unless_it_is_raised_again(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            raise OSError("\x1b[31mno space")

    Worker.__module__ = module
    with _escaped_messages():
        worker = Worker()
        worker.start()
        worker.join()
    expected = "warning: a thread ended: OSError: \\x1b[31mno space\n"
    assert capsys.readouterr().err == (expected if module == "mine" else "")


def test_an_error_of_several_lines_keeps_them(recrun: Run) -> None:
    outcome = recrun("train", "gowalla/bprmf", "root=nowhere")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert lines[1].startswith("error: Gowalla_m1 is not at root=nowhere")
    assert lines[2] == "Looked for (also with .gz and .zst):"
    assert "  recrun data fetch Gowalla_m1 root=nowhere" in lines
