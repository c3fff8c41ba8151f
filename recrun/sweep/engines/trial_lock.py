"""Lock files of running trials: whether a trial still runs, and which process it is, however its parent ended.

A trial's process inherits the open file, so the lock is held for exactly as long as the process lives. What the file
says of that process holds only while the lock does.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from recrun.files import NO_LOCKS, from_json, read_regular, require_one_name, take, to_json
from recrun.sweep.engines.processes import CAN_INHERIT
from recrun.sweep.locks.machine import this_machine

_PATIENCE: Final = 6.0
"""Seconds in which processes that a killed trial left behind notice its end."""
_MAX_BYTES: Final = 4096


@dataclass(frozen=True)
class Holder:
    """The process that holds a trial's lock.

    Args:
        machine: where it runs (`recrun.sweep.locks.machine.this_machine`).
        pid: its id there; it leads its process group.
        log_offset: where in the trial's log its output begins, in bytes.
        gpu: the device that it was given, as in CUDA_VISIBLE_DEVICES, or None.
    """

    machine: str
    pid: int
    log_offset: int = 0
    gpu: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether its id means the same process to this one."""
        return self.machine == this_machine()


def lock_of(log: Path) -> Path:
    """Return the lock file of the trial with this log."""
    return log.with_suffix(".lock")


def take_trial_lock(path: Path) -> int | None:
    """Take a trial's lock for the process that is about to start, and return its descriptor.

    Returns:
        None where there are no locks that can be inherited: such a trial is not found again by a later parent.

    Raises:
        HeldError: processes of an earlier attempt still hold it.
        OSError: the file cannot be written, or has another name elsewhere.
    """
    if not CAN_INHERIT:
        return None
    try:
        descriptor = take(path, patience=_PATIENCE)
    except OSError as error:
        if error.errno in (*NO_LOCKS, errno.EINVAL) and not os.path.islink(path) and path.is_file():
            return None
        raise
    try:
        require_one_name(descriptor)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_holder(descriptor: int, holder: Holder) -> None:
    """Write who holds a lock into its file.

    Where that fails, as on a full disk, the trial is found again but cannot be stopped by a later parent.
    """
    with suppress(OSError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, to_json(asdict(holder)).encode())


def read_holder(path: Path) -> Holder | None:
    """Return what a lock file says of its holder; None if it says nothing that can be used."""
    try:
        found: Any = from_json(read_regular(path, limit=_MAX_BYTES, follow=False).decode())
        holder = Holder(**found)
    except (OSError, ValueError, TypeError):
        return None
    numbers = (holder.pid, holder.log_offset)
    is_sound = all(type(number) is int and number >= 0 for number in numbers) and holder.pid > 1
    is_text = isinstance(holder.machine, str) and isinstance(holder.gpu, (str, type(None)))
    return holder if is_sound and is_text else None
