"""`recrun data fetch` stopped in the middle of a download: what has come is kept, and the next fetch goes on there."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recrun.data.datasets.source_files import SourceFile

from .loopback import LoopbackServer, loopback_server, serve, stall_after
from .test_fetch import CODE, TEST, TRAIN, sha256

COME = 100_000
"""Bytes that are sent before the server falls silent."""


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with loopback_server() as running:
        running.contents |= {"/train.txt": TRAIN, "/test.txt": TEST}
        yield running


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "recrun", "data", "fetch", "./mine.py:Mine", "root=sets"]
    return subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(part: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_keeps_what_has_come_and_the_next_start_goes_on(
    server: LoopbackServer, tmp_path: Path, number: signal.Signals
) -> None:
    files = (
        SourceFile("train.txt", f"{server.url}/train.txt", sha256(TRAIN)),
        SourceFile("test.txt", f"{server.url}/test.txt", "md5:" + hashlib.md5(TEST).hexdigest()),
    )
    (tmp_path / "mine.py").write_text(CODE.format(downloads=files), encoding="utf-8")
    server.plans["/train.txt"] = [stall_after(COME, seconds=60.0), serve]
    process = _start(tmp_path)
    _wait_for(tmp_path / "sets/mine/train.txt.part", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    if number != signal.SIGKILL:
        assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "error: interrupted")
        assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "sets/mine").iterdir() if path.name.endswith(".txt")] == []

    again = _start(tmp_path)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    (start,) = [start for path, start in server.requests if path == "/train.txt" and start]
    assert 0 < start <= COME, "it went on from there"
    found = {path.name: path.read_bytes() for path in (tmp_path / "sets/mine").iterdir() if path.suffix == ".txt"}
    assert found == {"train.txt": TRAIN, "test.txt": TEST}
