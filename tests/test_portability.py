"""What differs between systems: each such name in one module, and the branches for Windows as far as they run here."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder, open_run
from recrun.runs.new_folder import have_latest_follow

SOURCES = Path(__file__).resolve().parent.parent / "recrun"

HOMES: Final = {
    "fcntl": "files.py",
    "msvcrt": "files.py",
    "resource": "runs/peak_memory.py workflows/dry_run/fits.py",
    "killpg": "sweep/engines/processes.py",
    "pass_fds": "sweep/engines/processes.py",
    "start_new_session": "sweep/engines/processes.py",
    "SIGHUP": "training/stop_signals.py serving/server.py sweep/engines/batch_job.py",
    "SIGKILL": "sweep/engines/processes.py sweep/trial_results.py",
    "symlink_to": "runs/new_folder.py",
    "pwrite": "",
}
"""Names that not every system has, with the modules that may use them."""

WITHOUT_POSIX: Final = """
import os, signal, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("killpg", "getpgid", "setsid", "sched_getaffinity", "pwrite", "sysconf"):
    delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1"):
    delattr(signal, name)
"""


def _run(code: str, folder: Path) -> str:
    """Run code as a process that has no names of POSIX, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX + code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _words(tree: ast.AST) -> set[str]:
    """Return the names, attributes, keyword arguments, modules and plain texts in a source."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            found.add(node.arg)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_what_only_some_systems_have_is_used_in_one_module() -> None:
    for file in SOURCES.rglob("*.py"):
        words = _words(ast.parse(file.read_text(encoding="utf-8")))
        path = file.relative_to(SOURCES).as_posix()
        strays = [name for name, home in HOMES.items() if name in words and path not in home.split()]
        assert strays == [], path


def test_every_module_is_imported_without_the_names_of_posix(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil, recrun
names = [module.name for module in pkgutil.walk_packages(recrun.__path__, "recrun.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(len(names) > 150)
"""
    assert _run(code, tmp_path) == "True"


def test_a_lock_of_windows_is_taken_refused_and_released(tmp_path: Path) -> None:
    code = """
import errno, types
from pathlib import Path

held = {}

def locking(descriptor, kind, n_bytes):
    assert n_bytes == 1
    byte = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
    if kind == 0:
        assert held.pop(byte) == descriptor
    elif byte in held:
        raise PermissionError(errno.EACCES, "Permission denied")
    else:
        held[byte] = descriptor

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_UNLCK=0, LK_NBLCK=2)
from recrun import files

path, folder = Path("lock"), Path("data")
folder.mkdir()
for place in (path, folder):
    with files.hold(place, patience=0.0):
        assert files.is_held(path) == (place is path)
        try:
            files.take(place, patience=0.0)
        except files.HeldError:
            print("refused")
    assert held == {} and not files.is_held(path)
    files.release(files.take(place, patience=0.0))
    assert held == {}
files.sync_folder(folder)
print(sorted(entry.name for entry in folder.iterdir()))
"""
    assert _run(code, tmp_path).splitlines() == ["refused", "refused", "['.lock']"]


def test_a_process_of_a_trial_is_started_without_the_names_of_posix(tmp_path: Path) -> None:
    code = """
import subprocess, types
subprocess.CREATE_NEW_PROCESS_GROUP = 0
signal.CTRL_BREAK_EVENT = signal.SIGTERM
from recrun.sweep.engines import processes

with open("log", "w+b") as log:
    child = processes.start([sys.executable, "-c", "print(1)"], log, os.environ, [99])
    assert child.wait() == 0
    log.seek(0)
    print(log.read().decode().strip(), processes.is_alive(1))
    child = processes.start([sys.executable, "-c", "import time; time.sleep(60)"], log, os.environ, [])
    processes.request_stop(child)
    print(processes.ended_by(child.wait()))
"""
    assert _run(code, tmp_path) == "1 True\nSIGTERM"


@pytest.mark.slow
def test_training_evaluation_and_a_sweep_work_without_the_names_of_posix(tmp_path: Path) -> None:
    code = """
import ctypes, json, subprocess, types
from pathlib import Path

def measure(process, counters, size):
    counters._obj.peak = 5 << 20
    return 1

kernel = types.SimpleNamespace(GetCurrentProcess=lambda: 7, K32GetProcessMemoryInfo=measure)
ctypes.WinDLL = lambda name: kernel
sys.modules["msvcrt"] = types.SimpleNamespace(locking=lambda *_: None, LK_UNLCK=0, LK_NBLCK=2)
subprocess.CREATE_NEW_PROCESS_GROUP = 0
from recrun.cli.main import main

def run(*arguments):
    try:
        main([*arguments])
    except SystemExit as end:
        assert end.code == 0, arguments

small = ["n_users=60", "n_items=40", "n_interactions=700", "epochs=1", "device=cpu"]
run("train", "bprmf", *small, "--json")
assert json.loads(Path("runs/latest/run.json").read_text())["cost"]["peak_memory_mb"] == 5.0
run("eval", "--checkpoint", "runs/latest", "--json")
run("sweep", "bprmf", "lr=1e-3,1e-2", *small, "--jobs", "1", "--json")
"""
    _run(code, tmp_path)


def test_latest_is_a_file_where_no_link_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(22, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    settings = {"model": "bprmf", "dataset": "Synthetic"}
    for id in ("one", "two"):
        run = RunFolder.create(tmp_path, {**settings, "id": id})
        assert have_latest_follow(run.path, is_new=True) is None
        assert (tmp_path / "latest").read_text(encoding="utf-8") == f"bprmf/Synthetic/{id}\n"
        assert open_run(tmp_path / "latest").path == run.path
    run.checkpoint_file("last").write_bytes(b"")
    assert locate_checkpoint(tmp_path / "latest")[1] == run.checkpoint_file("last")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bprmf", "latest"]
