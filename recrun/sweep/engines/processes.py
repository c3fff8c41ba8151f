"""Start and stop the processes of trials, on POSIX systems and on Windows."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Final

_IS_POSIX: Final = hasattr(os, "killpg")

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
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)


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
