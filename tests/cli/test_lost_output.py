"""Closed and full streams: a lost result is an error on one line, lost progress is none, and the work is kept."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.errors import OutputError
from recrun.report.terminal.streams import ProgressStream, ResultStream

from .conftest import Outcome

TRAIN = "train bprmf dataset=Synthetic epochs=1 id=one"


def _shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -m recrun {command}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.parametrize("command", ["--help", "list models", "validate bprmf --json", "train bprmf --print-config"])
@pytest.mark.parametrize(("to", "reason"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")])
def test_a_result_that_cannot_be_printed_is_one_line_and_code_1(
    tmp_path: Path, command: str, to: str, reason: str
) -> None:
    done = _shell(tmp_path, f"{command} {to}")
    assert (done.returncode, done.stderr) == (1, f"error: cannot write to stdout: {reason}\n")


def test_a_run_whose_result_cannot_be_printed_is_done_and_says_so(tmp_path: Path) -> None:
    done = _shell(tmp_path, f"{TRAIN} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: cannot write to stdout: No space left on device; the run is done: runs/bprmf/Synthetic/one"
    )
    assert json.loads((tmp_path / "runs/bprmf/Synthetic/one/run.json").read_text())["status"] == "done"


@pytest.mark.parametrize("to", [pytest.param("2>&-", marks=pytest.mark.slow), "2>/dev/full"])
def test_progress_that_cannot_be_printed_does_not_end_the_run(tmp_path: Path, to: str) -> None:
    done = _shell(tmp_path, f"{TRAIN} --json {to}")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["status"] == "done"


@pytest.mark.parametrize("to", ["2>&-", "2>/dev/full", "2>&- >&- <&-"])
def test_an_error_that_cannot_be_printed_keeps_its_code(tmp_path: Path, to: str) -> None:
    assert _shell(tmp_path, f"show nonsense {to}").returncode == 2


def test_files_that_were_written_are_named(tmp_path: Path) -> None:
    done = _shell(tmp_path, "new model mf >/dev/full")
    assert done.returncode == 1
    assert done.stderr.endswith("No space left on device; wrote mf.py, mf.yaml, test_mf.py\n")
    assert (tmp_path / "mf.py").is_file()


class _Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_result_fails_every_time_even_if_somebody_tried_before() -> None:
    stream = ResultStream(_Full())
    for _ in range(2):
        with pytest.raises(OutputError, match="cannot write to stdout: No space left on device"):
            stream.write("x")


def test_progress_is_lost_without_an_error() -> None:
    stream = ProgressStream(_Full())
    assert stream.write("abc") == 3
    stream.flush()


def test_a_live_view_whose_terminal_is_gone_draws_on(recrun: Callable[..., Outcome]) -> None:
    from recrun.report.terminal.console import VisibleConsole
    from recrun.report.terminal.live import LiveReporter

    console = VisibleConsole(
        file=ProgressStream(_Full()),
        force_terminal=True,
        force_interactive=True,
        width=80,
        height=20,
    )
    reporter = LiveReporter(console)
    reporter.start({"epochs": 2, "description": "x"})
    reporter.evaluated(0, "valid", {"ndcg@20": 0.1}, True, 0.1)
    reporter.message("still here", "warning")
    reporter.finish({"status": "done"})
    reporter.close()
