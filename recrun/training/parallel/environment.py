"""What torch's launcher tells a process about itself, without importing torch."""

from __future__ import annotations

import os


def was_launched() -> bool:
    """Return whether torch's launcher started this process as one of several."""
    return os.environ.get("WORLD_SIZE", "1") not in ("", "1") and {"RANK", "MASTER_ADDR"} <= os.environ.keys()


def leads() -> bool:
    """Return whether this process is the only one, or the one that decides and writes."""
    return not was_launched() or os.environ["RANK"] == "0"
