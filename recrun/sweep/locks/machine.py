"""Name this machine. A process id in a file means a process here only if the file names this machine."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """Return a text that is the same for two processes if they see the same process ids.

    It is made of the host's name and, on Linux, of what identifies the running kernel and the container.
    """
    parts = [socket.gethostname()]
    try:
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
        parts += [os.readlink("/proc/self/ns/pid")]
    except OSError:  # not Linux
        pass
    return " ".join(parts)


def host_of(machine: str) -> str:
    """Return the host's name in such a text."""
    return machine.partition(" ")[0]
