from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recrun.sweep.engines import batch_job
from recrun.sweep.engines.exit_file import (
    Submitted,
    exit_file,
    job_file,
    read_ended,
    read_submitted,
    write_submitted,
)

# As a trial: the first request saves and ends, a second one stops at once, unless it is a SIGHUP after another.
TRIAL = """
import signal, sys, time
from pathlib import Path
requests = []
def take(number, frame):
    requests.append(number)
    if len(requests) > 1 and number != signal.SIGHUP: sys.exit(99)
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, take)
Path("ready").touch()
until = time.monotonic() + 20
while time.monotonic() < until and not requests: time.sleep(0.01)
time.sleep(2)
sys.exit(130 if requests else 1)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a trial."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "3.log"


def start(log: Path, *command: str) -> subprocess.Popen[bytes]:
    helper = [sys.executable, "-S", "-E", batch_job.__file__, str(exit_file(log)), "name"]
    return subprocess.Popen([*helper, *command])


@pytest.mark.parametrize(("body", "code", "shown"), [("pass", 0, 0), ("raise SystemExit(3)", 3, 3)])
def test_the_exit_code_of_a_command_is_written_to_a_file(log: Path, body: str, code: int, shown: int) -> None:
    assert start(log, sys.executable, "-S", "-c", body).wait() == shown
    ended = read_ended(log, "name")
    assert ended is not None
    assert (ended.exit_code, ended.was_asked, ended.error) == (code, False, "")
    assert read_ended(log, "another") is None


def test_the_signal_that_killed_a_command_is_written_too(log: Path) -> None:
    body = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert start(log, sys.executable, "-S", "-c", body).wait() == 128 + signal.SIGKILL
    ended = read_ended(log, "name")
    assert ended is not None
    assert ended.exit_code == -signal.SIGKILL


def test_a_command_that_cannot_be_started_is_said(log: Path) -> None:
    assert start(log, "/no/such/program").wait() == 1
    ended = read_ended(log, "name")
    assert ended is not None
    assert ended.error.startswith("cannot be started: ")


@pytest.mark.slow
@pytest.mark.parametrize("who", ["the batch step alone", "every process"])
def test_a_request_to_stop_reaches_the_command_once(log: Path, who: str) -> None:
    process = start(log, sys.executable, "-S", "-c", TRIAL)
    while not Path("ready").exists():
        time.sleep(0.01)
    if who == "every process":
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            subprocess.run(["kill", "-TERM", child], check=True)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    ended = read_ended(log, "name")
    assert ended is not None
    assert (ended.exit_code, ended.was_asked) == (130, True)


def test_a_command_that_is_asked_before_it_can_save_is_killed_by_the_request(log: Path) -> None:
    process = start(log, sys.executable, "-S", "-c", "open('ready', 'w').close(); import time; time.sleep(20)")
    while not Path("ready").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    ended = read_ended(log, "name")
    assert ended is not None
    assert (ended.exit_code, ended.was_asked) == (-signal.SIGTERM, True)


def test_what_an_earlier_job_left_is_not_taken_for_the_next_one(log: Path) -> None:
    exit_file(log).write_text('{"name": "old", "exit_code": 0, "seconds": 1, "was_asked": false, "error": ""}')
    assert read_ended(log, "old") is not None
    write_submitted(log, Submitted("new", 7))
    assert read_ended(log, "old") is None
    assert read_submitted(log) == Submitted("new", 7)


@pytest.mark.parametrize("content", ["", "[]", '{"name": 3, "log_offset": 0}', '{"name": "a", "log_offset": -1}', "{"])
def test_a_damaged_file_names_no_job(log: Path, content: str) -> None:
    job_file(log).write_text(content)
    exit_file(log).write_text(content)
    assert read_submitted(log) is None
    assert read_ended(log, "a") is None
