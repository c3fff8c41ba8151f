"""Run the command line on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path


def on_terminal(
    *arguments: str, width: int, folder: Path, stream: str = "stdout", code: int | None = None, **environment: str
) -> str:
    """Return what `recrun` with these arguments writes to a stream when that is a terminal.

    Args:
        arguments: the command line.
        width: columns of the terminal.
        folder: the working folder.
        stream: "stdout" or "stderr"; the other one goes nowhere.
        code: the exit code that is expected; None for any.
        environment: variables besides those of this process, without NO_COLOR, FORCE_COLOR and COLUMNS.
    """
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    variables = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "recrun", *arguments],
        stdout=writer if stream == "stdout" else subprocess.DEVNULL,
        stderr=writer if stream == "stderr" else subprocess.DEVNULL,
        cwd=folder,
        env={**variables, "TERM": "xterm", **environment},
    )
    os.close(writer)
    written = b""
    try:
        while piece := os.read(reader, 65536):
            written += piece
    except OSError:  # the terminal is closed
        pass
    os.close(reader)
    assert process.wait() == code or code is None
    return written.decode().replace("\r\n", "\n")
