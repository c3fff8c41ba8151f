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


def on_terminal(*arguments: str, width: int, folder: Path, **environment: str) -> str:
    """Return what `recrun` with these arguments writes to stdout when that is a terminal."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(
        [sys.executable, "-m", "recrun", *arguments],
        stdout=writer,
        stderr=subprocess.DEVNULL,
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
    process.wait()
    return written.decode().replace("\r\n", "\n")
