"""Starts `recrun` in processes of its own without paying for the imports each time, and can make them die at a point.

It is a program, not a test: it reads one JSON request a line, forks, runs the command line in the child, and answers
`{"pid": n}` at once and `{"code": n}` when the child has ended (-9 when SIGKILL ended it).

After `pid` it waits for an empty line before it answers with the code.

Request: {"argv": [...], "output": file, "terminal": device or null, "die": {"at": point, "call": n}}. A terminal takes
the place of the output, and its closing sends SIGHUP to the process. The points of death are calls of the `os` module
that the writing of files consists of, the start and the end of an evaluation on test, and the writing of the summary
("finish"); "torn" first cuts the file that is to be flushed in half, but not what was flushed of it before.
{"below": folder, "call": n} dies at the n-th file below a folder that is opened, made, renamed, linked or removed.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import signal
import stat
import sys
import tempfile
import termios
from typing import Any

import recrun.data.datasets.file
import recrun.data.datasets.synthetic
import recrun.report.files.summary
import recrun.runs.folder
import recrun.training.coach
import recrun.workflows.build
from recrun.cli.main import main
from recrun.config.resolve import resolve
from recrun.report.files.course import Courses

_TOUCHES = {
    "open",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.chmod",
}
"""The audit events of what is done to files; closing and flushing them has none."""


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(at: str, call: int) -> None:
    """Make this process kill itself at the n-th call of something."""
    name = "fsync" if at == "torn" else at
    owner: Any = recrun.runs.folder.RunFolder if name in ("begin_test_evaluation", "end_test_evaluation") else os
    owner = recrun.report.files.summary.SummaryWriter if name == "finish" else owner
    original = getattr(owner, name)
    calls = 0
    flushed: dict[int, int] = {}  # the size of each file when it was last flushed, by its inode

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if at == "torn" and not stat.S_ISREG(os.fstat(args[0]).st_mode):
            return original(*args, **kwargs)
        calls += 1
        if calls == call:
            if at == "torn":
                found = os.fstat(args[0])
                os.ftruncate(args[0], max(found.st_size // 2, flushed.get(found.st_ino, 0)))
            _die()
        if at == "torn":
            found = os.fstat(args[0])
            flushed[found.st_ino] = found.st_size
        return original(*args, **kwargs)

    setattr(owner, name, counted)


def _count_to_death(below: str, call: int) -> None:
    """Make this process kill itself at the n-th thing that it does to files below a folder."""
    calls = 0

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if event in _TOUCHES and any(str(each).startswith(below) for each in arguments[:2]):
            calls += 1
            if calls == call:
                _die()

    sys.addaudithook(heard)


def _run(request: dict[str, Any]) -> None:
    os.setsid()
    if request.get("terminal"):
        descriptor = os.open(request["terminal"], os.O_RDWR)
        fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
        os.dup2(descriptor, 0)
    else:
        descriptor = os.open(request["output"], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if request.get("die") and "below" in request["die"]:
        _count_to_death(request["die"]["below"], request["die"]["call"])
    elif request.get("die"):
        _arm(request["die"]["at"], request["die"]["call"])
    try:
        main(request["argv"])
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 0)


def _warm_up() -> None:
    """Import what a run needs and draw once, so that no child pays for it.

    Nothing is trained: threads that Polars or OpenMP start here would be missing in the children.
    """
    for name in (
        "polars",
        "torch.utils.tensorboard",
        "recrun.cli.train",
        "recrun.models.bprmf",
        "recrun.report.files.events",
    ):
        importlib.import_module(name)
    for name in ("board", "console", "live", "monitor_table"):
        importlib.import_module(f"recrun.report.terminal.{name}")
    courses = Courses()
    for epoch in (1, 2):
        courses.append("train", epoch, {"loss": 1 / epoch})
    with tempfile.TemporaryDirectory() as folder:
        recrun.report.files.summary.write_summary(folder, {}, courses, {})
    resolve("bprmf")


def serve() -> None:
    """Answer requests until there are no more."""
    _warm_up()
    while line := sys.stdin.readline():
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line))
            os._exit(99)
        print(json.dumps({"pid": pid}), flush=True)
        # Its number stays its own until the next request, so that whoever wants to kill it hits nobody else.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    serve()
