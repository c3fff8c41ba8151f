"""Measure free memory, to refuse what cannot fit before it is tried, and pause the garbage collector."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError, Fault

_GROUPS: Final = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
"""Control groups v2 and v1: the folder, and the names of the limit, of the usage and of file pages within it."""


def available_memory() -> int | None:
    """Return the bytes of main memory that this process can still use, or None if the system does not say.

    A limit of the process's control group (as in a container) counts as well as that of the machine.
    """
    limits = (_free_of_machine(), *(_free_of_group(*group) for group in _GROUPS))
    return min((limit for limit in limits if limit is not None), default=None)


def require_memory(needed: int, purpose: str, advice: str, *, limit: float | None = None) -> None:
    """Raise ConfigError if something does not fit in memory.

    Args:
        needed: bytes.
        purpose: what needs them, as the subject of "needs about 7.0 GB".
        advice: what to do instead.
        limit: GB that may be used; None for all that is free.

    Raises:
        ConfigError: it does not fit.
    """
    free = available_memory() if limit is None else int(limit * 1e9)
    if free is not None and needed > free:
        where = "are free" if limit is None else "are allowed by max_memory"
        message = f"{purpose} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB {where}; {advice}"
        raise ConfigError(Fault(message, key="model"))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Pause the garbage collector, which would go again and again through a large number of new objects."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _free_of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _free_of_group(folder: str, limit_file: str, used_file: str, file_pages: str) -> int | None:
    try:
        limit = int(Path(folder, limit_file).read_text(encoding="ascii"))
        used = int(Path(folder, used_file).read_text(encoding="ascii"))
        entries = (line.split() for line in Path(folder, "memory.stat").read_text(encoding="ascii").splitlines())
        # The page cache counts as used, but the system reclaims it when memory is needed.
        used -= next((int(value) for name, value in entries if name == file_pages), 0)
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return None
    return max(0, limit - used)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory is used up, of this machine or of a GPU."""
    said = ("allocate memory", "out of memory", "start new thread")
    of_torch = isinstance(error, RuntimeError) and any(text in str(error) for text in said)
    return isinstance(error, MemoryError) or of_torch
