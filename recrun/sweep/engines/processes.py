"""Start and stop the processes of trials, on POSIX systems and on Windows."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Final

_IS_POSIX: Final = hasattr(os, "killpg")

CAN_INHERIT: Final = _IS_POSIX
"""Whether a process can inherit a lock."""

KILLED: Final = -9
"""The exit code of a process that was killed at once."""

APART: Final[dict[str, Any]] = {"start_new_session": True} if _IS_POSIX else {}
"""Arguments of `Popen` for a process that the terminal's Ctrl-C does not reach, where there is such a thing."""

_ENDED_BY: Final = {-signal.SIGINT: "SIGINT", -signal.SIGTERM: "SIGTERM", -9: "SIGKILL", 0xC000013A: "Ctrl-Break"}
"""Exit codes of processes that ended because of a request to stop; the last is Windows' STATUS_CONTROL_C_EXIT."""


def start(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str], inherited: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Start a process in its own process group.

    Args:
        command: the argument list.
        output: where its stdout and stderr go.
        environment: its environment variables.
        inherited: file descriptors that it inherits; ignored on Windows, where locks are not inherited.

    Raises:
        OSError: it cannot be started.
        ValueError: the command or the environment holds a NUL character.
    """
    apart: dict[str, Any]
    if _IS_POSIX:
        apart = {"pass_fds": tuple(inherited), "start_new_session": True}
    else:
        apart = {"creationflags": vars(subprocess)["CREATE_NEW_PROCESS_GROUP"]}
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        **apart,
    )


def request_stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to save its state and end: SIGTERM, or Ctrl-Break on Windows, where SIGTERM cannot be caught."""
    with suppress(OSError):
        if _IS_POSIX:
            process.terminate()
        else:
            process.send_signal(vars(signal)["CTRL_BREAK_EVENT"])


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children at once."""
    # A process that has not been waited for: its id cannot have been reused.
    if process.poll() is not None:
        return
    if _IS_POSIX:
        kill_group(process.pid)
    else:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)


def take_exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of a process, or None while it runs; what a failed one leaves behind is killed.

    Left behind are processes of its group, such as workers that read data: they would hold memory and devices.
    """
    if _IS_POSIX and hasattr(os, "waitid") and process.returncode is None:
        # Until it is waited for, its id is not given to another process.
        try:
            found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else has waited for it
            return process.poll()
        if found is None:
            return None
        if found.si_status != 0:
            kill_group(process.pid)
    return process.poll()


def request_stop_by_id(process_id: int) -> None:
    """Ask a process that this one did not start to save its state and end."""
    with suppress(OSError):
        os.kill(process_id, signal.SIGTERM)


def kill_group(process_id: int) -> None:
    """Kill at once a process that leads its group, and the rest of the group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)


def ended_by(exit_code: int) -> str | None:
    """Return the name of the stop signal that ended a process, or None if it ended in another way."""
    return _ENDED_BY.get(exit_code)


def is_alive(process_id: int) -> bool:
    """Return whether a process on this machine is still running; True on Windows, where the check could end it."""
    if not _IS_POSIX:
        return True  # os.kill(id, 0) would send it Ctrl-C
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True
