from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.files import is_held
from recrun.sweep.engines.engine import Engine, Job, Outcome, choose_engine
from recrun.sweep.engines.local import LocalEngine
from recrun.sweep.engines.trial_lock import Holder, read_holder, take_trial_lock, write_holder
from recrun.sweep.locks.machine import this_machine

WAITS = """
import os, signal, sys, time
def save(*_):
    open("saved" + sys.argv[1], "w").close()
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
print("GPU", os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ.get("MINE"), flush=True)
open("ready" + sys.argv[1], "w").close()
while not os.path.exists("go" + sys.argv[1]): time.sleep(0.01)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with no GPUs known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


@pytest.fixture
def nvidia_smi(folder: Path) -> Callable[[int], None]:
    """Pretend that a driver has some GPUs."""

    def make(n: int) -> None:
        (folder / "bin").mkdir()
        file = folder / "bin" / "nvidia-smi"
        lines = [f"GPU {i}: NVIDIA A100 (UUID: GPU-{i}{i}aa-bb)" for i in range(n)]
        file.write_text(f"#!{sys.executable} -S\nprint({chr(10).join(lines)!r})\n")
        file.chmod(0o755)

    return make


def job(index: int, code: str = WAITS, **others: Any) -> Job:
    return Job(index, [sys.executable, "-S", "-c", code, str(index)], Path(f"{index}.log"), **others)


def wait_for(*names: str) -> None:
    until = time.monotonic() + 20
    while not all(Path(name).exists() for name in names):
        assert time.monotonic() < until, names
        time.sleep(0.01)


def drain(engine: Engine, n: int) -> list[Outcome]:
    """Return the next n outcomes."""
    found: list[Outcome] = []
    until = time.monotonic() + 20
    while len(found) < n:
        assert time.monotonic() < until
        found += engine.poll()
        time.sleep(0.01)
    return sorted(found, key=lambda outcome: outcome.index)


def seen(index: int) -> str:
    """Return the GPU that a trial saw."""
    return Path(f"{index}.log").read_text().splitlines()[-1].split()[1]


@pytest.fixture
def killed_parent(folder: Path) -> Iterator[Callable[..., int]]:
    """Start trials from another process and kill it; return its id."""
    locks: list[Path] = []

    def start(*indices: int, **settings: Any) -> int:
        code = f"""
import sys, time
from pathlib import Path
from recrun.sweep.engines.engine import Job, choose_engine
engine = choose_engine("local", {settings!r})(None if {settings!r} else {len(indices)})
for index in {indices!r}:
    engine.start(Job(index, [sys.executable, "-S", "-c", {WAITS!r}, str(index)], Path(f"{{index}}.log")))
print("started", flush=True)
time.sleep(60)
"""
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        wait_for(*(f"ready{index}" for index in indices))
        parent.kill()
        parent.communicate()
        locks.extend(Path(f"{index}.lock").absolute() for index in indices)
        return parent.pid

    yield start
    for lock in locks:
        holder = read_holder(lock)
        if is_held(lock) and holder is not None:
            os.killpg(holder.pid, signal.SIGKILL)


def test_a_running_trial_holds_a_lock_of_its_own_with_its_process_id(folder: Path) -> None:
    engine = LocalEngine(1)
    engine.start(job(3))
    wait_for("ready3")
    holder = read_holder(Path("3.lock"))
    assert holder is not None
    assert (holder.machine, holder.gpu, is_held(Path("3.lock"))) == (this_machine(), None, True)
    assert Path("3.log").read_bytes()[holder.log_offset :].startswith(b"GPU None")
    os.kill(holder.pid, signal.SIGTERM)
    assert drain(engine, 1)[0].exit_code == 130
    assert not is_held(Path("3.lock"))
    engine.start(job(3, "raise SystemExit(4)"))
    assert drain(engine, 1)[0].exit_code == 4


def test_a_trial_of_a_killed_parent_is_taken_over_counts_and_its_end_is_seen(killed_parent: Any) -> None:
    killed_parent(0, 1)
    engine = LocalEngine(2)
    assert [engine.adopt(job(index)) for index in (0, 1, 2)] == [True, True, False]
    assert not engine.has_room()
    assert engine.poll() == []
    Path("go0").touch()
    ended = drain(engine, 1)[0]
    assert (ended.index, ended.exit_code, ended.is_adopted, ended.error) == (0, None, True, "")
    assert engine.has_room()
    assert engine.stop_job(1)
    assert not engine.stop_job(0)
    assert [outcome.index for outcome in drain(engine, 1)] == [1]
    assert Path("saved1").exists()
    assert not engine.adopt(job(1))


def test_a_trial_that_was_taken_over_is_killed_with_its_children(killed_parent: Any) -> None:
    killed_parent(0, 1)
    engine = LocalEngine(2)
    assert engine.adopt(job(0))
    assert engine.adopt(job(1))
    assert engine.kill_job(0)
    assert [outcome.index for outcome in drain(engine, 1)] == [0]
    engine.kill()
    assert [outcome.index for outcome in drain(engine, 1)] == [1]
    assert not Path("saved0").exists()


@pytest.mark.parametrize("holder", ["of another host", "unknown"])
def test_a_trial_whose_process_is_not_known_is_waited_for_and_given_up_when_it_must_end(
    folder: Path, holder: str
) -> None:
    descriptor = take_trial_lock(Path("0.lock"))
    assert descriptor is not None
    if holder == "of another host":
        write_holder(descriptor, Holder("elsewhere its-boot", os.getpid()))  # here, this id means the test itself
    engine = LocalEngine(1)
    assert engine.adopt(job(0))
    assert (engine.has_room(), engine.stop_job(0)) == (False, False)
    engine.stop()
    assert engine.poll() == []
    engine.kill()
    outcome = engine.poll()[0]
    assert (outcome.exit_code, outcome.is_adopted) == (None, False)
    where = " on elsewhere" if holder == "of another host" else ""
    assert outcome.error == f"it still runs{where}, started by an earlier process, and cannot be ended from here"
    os.close(descriptor)


def test_one_trial_is_stopped_and_another_goes_on(folder: Path) -> None:
    engine = LocalEngine(2)
    engine.start(job(0))
    engine.start(job(1))
    wait_for("ready0", "ready1")
    assert engine.stop_job(1)
    assert [(outcome.index, outcome.exit_code) for outcome in drain(engine, 1)] == [(1, 130)]
    assert engine.kill_job(0)
    assert [(outcome.index, outcome.exit_code) for outcome in drain(engine, 1)] == [(0, -9)]


def test_what_a_crashed_trial_leaves_behind_is_killed(folder: Path) -> None:
    leak = (
        "import os, sys, time\nif os.fork() == 0:\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    leak += "while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)\nsys.exit(1)"
    engine = LocalEngine(1)
    engine.start(job(0, leak))
    assert drain(engine, 1)[0].exit_code == 1
    until = time.monotonic() + 5
    while is_held(Path("0.lock")):  # the worker inherited it
        assert time.monotonic() < until
        time.sleep(0.01)


def test_each_trial_gets_a_gpu_of_its_own_which_is_free_again_when_it_ends(
    folder: Path, nvidia_smi: Callable[[int], None]
) -> None:
    nvidia_smi(4)
    engine = choose_engine("local", ["gpus=1,3"])(None)
    assert engine.jobs == 2
    for index in (0, 1):
        assert engine.has_room()
        engine.start(job(index, environment={"MINE": "kept", "CUDA_VISIBLE_DEVICES": "7"}))
    assert not engine.has_room()
    wait_for("ready0", "ready1")
    assert [seen(0), seen(1)] == ["1", "3"]
    assert Path("0.log").read_text().endswith("kept\n")
    Path("go1").touch()
    drain(engine, 1)
    engine.start(job(2))
    wait_for("ready2")
    assert seen(2) == "3"
    engine.kill()
    drain(engine, 2)


def test_several_trials_share_a_gpu_if_asked_and_are_spread_evenly(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-33aa-bb")
    engine = choose_engine("local", {"gpus": [0, 1], "per_gpu": 2})(None)
    assert engine.jobs == 4
    for index in range(4):
        engine.start(job(index))
    wait_for(*(f"ready{index}" for index in range(4)))
    assert [seen(index) for index in range(4)] == ["2", "GPU-33aa-bb", "2", "GPU-33aa-bb"]
    engine.kill()
    drain(engine, 4)


def test_a_trial_that_was_taken_over_keeps_its_gpu(killed_parent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    killed_parent(0, gpus="1")
    engine = choose_engine("local", ["gpus=1,0"])(None)
    assert engine.adopt(job(0))
    assert engine.has_room()
    engine.start(job(1))
    wait_for("ready1")
    assert [seen(0), seen(1)] == ["1", "0"]
    assert not engine.has_room()
    engine.kill()
    drain(engine, 2)


@pytest.mark.parametrize(
    ("given", "visible", "n_gpus", "message"),
    [
        ({"gpus": "0,4"}, None, 2, "gpus: no GPU 4; there are 0, 1, GPU-00aa-bb, GPU-11aa-bb"),
        ({"gpus": "1"}, "1", 2, "gpus: no GPU 1 (CUDA_VISIBLE_DEVICES=1); there are 1, GPU-00aa-bb, GPU-11aa-bb"),
        ({"gpus": "1"}, "0,5,1", 2, "gpus: no GPU 1 (CUDA_VISIBLE_DEVICES=0,5,1); there are 0"),
        ({"gpus": "0"}, "", None, "gpus: no GPU 0 (CUDA_VISIBLE_DEVICES=); there are none"),
        ({"gpus": 0}, None, None, "gpus: nvidia-smi is not here to list the GPUs; set CUDA_VISIBLE_DEVICES to those"),
        ({"gpus": "0,first"}, None, 2, "gpus: expected numbers or UUIDs of GPUs, such as 0,1, found 'first'"),
        ({"gpus": "0,0"}, None, 2, "gpus: 0 is given twice; per_gpu=2 runs two trials on each GPU"),
        ({"gpus": []}, None, 2, "gpus: expected numbers or UUIDs of GPUs, such as 0,1, found none"),
        ({"per_gpu": 2}, None, 2, "per_gpu: gpus says which GPUs are shared; it is not set"),
    ],
)
def test_gpus_that_are_not_there_are_refused(
    folder: Path,
    nvidia_smi: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    visible: str | None,
    n_gpus: int | None,
    message: str,
) -> None:
    if n_gpus is not None:
        nvidia_smi(n_gpus)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(ConfigError) as refused:
        choose_engine("local", given)(None)
    assert str(refused.value).startswith(message)


def test_a_gpu_is_named_by_the_beginning_of_its_uuid_too(folder: Path, nvidia_smi: Callable[[int], None]) -> None:
    nvidia_smi(2)
    engine = choose_engine("local", ["gpus=GPU-11"])(None)
    engine.start(job(0, "import os; print('GPU', os.environ['CUDA_VISIBLE_DEVICES'])"))
    drain(engine, 1)
    assert seen(0) == "GPU-11"


def test_more_jobs_than_places_on_the_gpus_are_refused(folder: Path, nvidia_smi: Callable[[int], None]) -> None:
    nvidia_smi(2)
    with pytest.raises(ConfigError, match=r"^5 jobs do not fit on the GPUs, which have 2 x 2 = 4 places; set per_gpu"):
        choose_engine("local", ["gpus=0,1", "per_gpu=2"])(5)
