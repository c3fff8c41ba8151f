"""Run a trial's command in a job of a cluster: forward requests to stop, and write its exit code to a file.

It is run as a program, by its path, and imports nothing of recrun: `batch_job.py EXIT_FILE NAME COMMAND ...`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from types import FrameType

_DELAY = 1.0


class _Requests:
    """Hands a SIGTERM on to the command, once, as a SIGHUP.

    The cluster sends SIGTERM to this process alone, or to the command as well. Of the command's view, a second request
    means to stop at once; but a SIGHUP after the first request is ignored. So the command's own comes first, if any.
    """

    def __init__(self) -> None:
        self.are_any = False
        self.process: subprocess.Popen[bytes] | None = None
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the command does not inherit that it is ignored
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self.are_any:
            self.are_any = True
            timer = threading.Timer(_DELAY, self._forward)
            timer.daemon = True
            timer.start()

    def _forward(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)


def run(exit_file: str, name: str, command: list[str]) -> int:
    """Run the command to its end, and write how it ended.

    Args:
        exit_file: is written, whole or not at all, as JSON.
        name: the job's name, repeated in the file.
        command: the argument list.

    Returns:
        The exit code, -N when signal N killed the command.
    """
    begun = time.monotonic()
    requests, error, code = _Requests(), "", 1
    try:
        requests.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as problem:
        error = f"cannot be started: {problem}"
    else:
        code = requests.process.wait()
    if requests.are_any and code == -signal.SIGHUP:
        code = -signal.SIGTERM  # it was asked to stop before it could save
    ended = {"name": name, "exit_code": code, "seconds": time.monotonic() - begun, "was_asked": requests.are_any}
    _write(exit_file, json.dumps({**ended, "error": error}))
    return code


def _write(path: str, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".exit.", suffix=".tmp")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


if __name__ == "__main__":
    code = run(sys.argv[1], sys.argv[2], sys.argv[3:])
    sys.exit(code if code >= 0 else 128 - code)
