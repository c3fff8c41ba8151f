from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError, TrainingError
from recrun.sweep.locks.lock import SweepLock

INTERVAL = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a sweep."""
    folder = tmp_path / "a-sweep"
    folder.mkdir()
    return folder


def record(folder: Path, **changes: Any) -> dict[str, Any]:
    """Write the lease of another host, which sees none of our locks, and return it."""
    lease = {"host": "elsewhere", "pid": 4242, "started": "2026-01-01T00:00:00+00:00", "beat": 7}
    lease |= {"machine": "elsewhere its-boot", "token": "theirs", "interval": INTERVAL, **changes}
    partly = folder / "partly"
    partly.write_text(json.dumps(lease))
    partly.rename(folder / "lease.json")
    return lease


@pytest.fixture
def other_host(folder: Path) -> Iterator[None]:
    """A process of another host that renews its lease."""
    ended = threading.Event()

    def renew() -> None:
        beat = 7
        while not ended.wait(INTERVAL):
            beat += 1
            record(folder, beat=beat)

    record(folder)
    thread = threading.Thread(target=renew)
    thread.start()
    yield
    ended.set()
    thread.join()


def held_now(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "lease.json").read_text())
    return found


def test_a_lease_says_who_holds_it_is_renewed_and_goes_when_it_is_released(folder: Path) -> None:
    lock = SweepLock(folder, interval=INTERVAL)
    first = held_now(folder)
    assert (first["pid"], first["beat"]) == (os.getpid(), 0)
    while held_now(folder)["beat"] < 2:
        time.sleep(INTERVAL / 5)
    lock.check()
    lock.release()
    assert not (folder / "lease.json").exists()
    SweepLock(folder, interval=INTERVAL).release()


def test_a_second_process_of_this_machine_is_refused_in_one_line(folder: Path) -> None:
    lock = SweepLock(folder)
    since = held_now(folder)["started"]
    with pytest.raises(ConfigError) as refused:
        SweepLock(folder)
    assert str(refused.value) == (
        f"this sweep is already running (process {os.getpid()}) since {since}: {folder}; wait for it to end, or stop it"
    )
    lock.release()


def test_a_sweep_that_another_host_runs_is_refused(folder: Path, other_host: None) -> None:
    said: list[str] = []
    with pytest.raises(ConfigError, match=r"already running \(process 4242 on elsewhere\) since 2026-01-01T"):
        SweepLock(folder, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("note: watching for 0.3 s whether the sweep still runs elsewhere (process 4242 on els")


@pytest.mark.parametrize("started", ["1970-01-01T00:00:00+00:00", "2999-01-01T00:00:00+00:00"])
def test_the_lease_of_a_host_that_renews_it_no_more_ends_whatever_its_clock_says(folder: Path, started: str) -> None:
    record(folder, started=started)
    begun = time.monotonic()
    lock = SweepLock(folder)
    assert 3 * INTERVAL <= time.monotonic() - begun < 3
    assert held_now(folder)["pid"] == os.getpid()
    assert sorted(path.name for path in folder.iterdir()) == ["lease.json", "lock"]
    lock.release()


def test_a_killed_process_of_this_machine_is_followed_at_once(folder: Path) -> None:
    code = "import sys, time\nfrom pathlib import Path\nfrom recrun.sweep.locks.lock import SweepLock\n"
    code += "SweepLock(Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=rf"already running \(process {process.pid}\) since 20"):
        SweepLock(folder)
    process.kill()
    process.communicate()
    said: list[str] = []
    SweepLock(folder, say=said.append).release()
    assert said == []


def test_a_lease_that_was_half_written_ends_when_nobody_goes_on_writing_it(folder: Path) -> None:
    (folder / "lease.json").write_text('{"host": "elsew')
    SweepLock(folder, interval=INTERVAL).release()


def test_a_process_that_was_suspended_for_too_long_finds_that_another_took_over(folder: Path) -> None:
    lock = SweepLock(folder, interval=INTERVAL)
    record(folder)
    with pytest.raises(TrainingError, match=r"another process took over the sweep .* \(process 4242 on elsewhere\)"):
        _check_until(lock, time.monotonic() + 10)
    lock.release()
    assert held_now(folder)["token"] == "theirs"


SUSPENDED = """
import os, signal, sys
from pathlib import Path
from recrun.errors import TrainingError
from recrun.sweep.locks.lock import SweepLock
lock = SweepLock(Path(sys.argv[1]), interval=0.1)
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
try:
    lock.check()
except TrainingError as error:
    print(error, flush=True)
lock.release()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing is suspended here by a signal")
@pytest.mark.parametrize("has_ended", [False, True])
def test_a_process_that_goes_on_after_another_took_over_knows_it_at_once(folder: Path, has_ended: bool) -> None:
    process = subprocess.Popen([sys.executable, "-c", SUSPENDED, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    (folder / "lease.json").unlink() if has_ended else record(folder)
    time.sleep(4 * INTERVAL)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=30)[0]
    assert f"another process took over the sweep {folder}" in said
    assert ("it has ended by now: repeat the command" if has_ended else "the sweep goes on there") in said
    assert (folder / "lease.json").exists() is not has_ended


def test_a_lease_that_was_just_removed_is_written_again(folder: Path) -> None:
    lock = SweepLock(folder, interval=INTERVAL)
    (folder / "lease.json").unlink()
    until = time.monotonic() + 10
    while not (folder / "lease.json").exists() and time.monotonic() < until:
        time.sleep(INTERVAL / 5)
    lock.check()
    assert held_now(folder)["pid"] == os.getpid()
    lock.release()


def _check_until(lock: SweepLock, until: float) -> None:
    while time.monotonic() < until:
        lock.check()
        time.sleep(0.02)


def test_of_several_processes_that_find_an_ended_lease_one_gets_it(folder: Path) -> None:
    code = "import sys\nfrom pathlib import Path\nfrom recrun.errors import ConfigError\n"
    code += "from recrun.sweep.locks.lease import HeldLease\nimport time\n"
    code += "try:\n    HeldLease(Path(sys.argv[1]), is_locked=False, interval=0.1)\n"
    code += "except ConfigError:\n    print('refused', flush=True)\n"
    code += "else:\n    print('held', flush=True)\n    time.sleep(3)"
    record(folder)
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert sorted(process.communicate()[0].strip() for process in started) == ["held", *["refused"] * 3]
