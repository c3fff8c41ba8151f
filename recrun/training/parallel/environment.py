"""What torch's launcher tells a process about itself, without importing torch."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

DONE_MARK: Final = "RECRUN_DONE_MARK"
"""The environment variable with the file that the leader makes when the run is done, for the launcher."""
_EVERY: Final = 1.0
"""Seconds between two looks at the launcher."""


def was_launched() -> bool:
    """Return whether torch's launcher started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1") and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def leads() -> bool:
    """Return whether this process is the only one, or the one that decides and writes."""
    return not was_launched() or os.environ["RANK"] == "0"


def mark_done() -> None:
    """Let the launcher know that the run is done, whatever becomes of the processes."""
    if DONE_MARK in os.environ:
        with suppress(OSError):  # the launcher has ended
            Path(os.environ[DONE_MARK]).touch()


def stop_after_launcher() -> None:
    """Ask this process to stop, as SIGTERM does, when its launcher has ended: it can be killed without a word to it."""
    launcher = os.getppid()

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(_EVERY)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="recrun-launcher", daemon=True).start()
