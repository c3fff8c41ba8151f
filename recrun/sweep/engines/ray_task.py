"""Run a trial's command as a task of Ray, on whichever node it lands."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.1


def run_command(
    command: Sequence[str], environment: Mapping[str, str], folder: str, log: str, stop: str
) -> tuple[int | None, float, str]:
    """Run the command to its end.

    Args:
        command: the argument list.
        environment: variables besides those of the worker.
        folder: the working folder.
        log: the file to which its output is appended.
        stop: a file; once it exists, the command is asked to save and end.

    Returns:
        The exit code, -N when signal N killed it, None if it could not be started; the seconds; and why not.
    """
    begun = time.monotonic()
    if os.path.exists(stop):
        return -signal.SIGTERM, 0.0, ""
    try:
        with open(log, "ab") as output:
            process = subprocess.Popen(
                list(command),
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
    except OSError as error:
        return None, 0.0, f"cannot be started: {error}"
    try:
        is_asked = False
        while process.poll() is None:
            if not is_asked and os.path.exists(stop):
                process.terminate()
                is_asked = True
            time.sleep(_POLL_SECONDS)
    finally:
        if process.poll() is None:  # the task is cancelled
            process.kill()
            process.wait()
    return process.returncode, time.monotonic() - begun, ""


def reads(path: str, text: str) -> bool:
    """Return whether a file holds this text, as seen from here."""
    try:
        return Path(path).read_text(encoding="utf-8") == text
    except OSError:
        return False
