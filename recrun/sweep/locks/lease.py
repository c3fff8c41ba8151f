"""Hold a sweep by a lease, a file that its holder renews, for disks whose locks other hosts do not see.

    lease.json   who holds it (host, process), since when, and a counter `beat`

Another host's lease has ended once its file has not changed for three intervals. That is found by watching it, so no
clocks are compared. Creating the file is exclusive: of several processes that find no lease, one gets it.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from recrun.errors import ConfigError, TrainingError
from recrun.files import atomic_write, from_json, read_regular, to_json
from recrun.runs.folder import now
from recrun.sweep.engines.processes import is_alive
from recrun.sweep.locks.machine import host_of, this_machine

INTERVAL: Final = 5.0
"""Seconds between two renewals."""
_PATIENCE: Final = 3
"""Intervals without a renewal after which a lease has ended."""
_LONGEST: Final = 60.0
_MAX_BYTES: Final = 4096
_ATTEMPTS: Final = 5

Say = Callable[[str], None]


class LeaseLostError(TrainingError):
    """Another process has taken the sweep over, and its trials."""


@dataclass(frozen=True)
class Lease:
    """What a lease's file says.

    Args:
        host: the holder's host.
        pid: its process id there.
        started: when it took the lease.
        beat: how often it was renewed.
        machine: the holder's machine (`recrun.sweep.locks.machine.this_machine`).
        token: a random text of the holder's own.
        interval: seconds between renewals.
    """

    host: str
    pid: int
    started: str
    beat: int
    machine: str
    token: str
    interval: float

    @property
    def holder(self) -> str:
        """Who holds it, for messages."""
        where = "" if self.machine == this_machine() else f" on {self.host}"
        return f"(process {self.pid}{where}) since {self.started}"

    @property
    def is_of_a_dead_process(self) -> bool:
        """Whether its holder is known to have ended, since no process here has its id."""
        return self.machine == this_machine() and not is_alive(self.pid)


def read_lease(path: Path) -> Lease | None:
    """Return what a lease's file says, or None if there is none or it is damaged."""
    content = _content(path)
    return None if content is None else _parse(content)


class HeldLease:
    """The lease of a sweep, held by this process and renewed by a thread until it is released.

    Args:
        folder: the sweep's folder.
        is_locked: whether this process holds the sweep's lock, so that no other on this machine can hold the lease.
        say: is given a line when another host's lease must be watched first.
        interval: seconds between renewals.

    Raises:
        ConfigError: another process holds it, or it cannot be written.
    """

    def __init__(self, folder: Path, *, is_locked: bool, say: Say | None = None, interval: float = INTERVAL) -> None:
        self.path = folder / "lease.json"
        self._is_locked, self._say = is_locked, say
        machine = this_machine()
        token = secrets.token_hex(8)
        self._lease = Lease(host_of(machine), os.getpid(), now(), 0, machine, token, interval)
        self._is_lost = False
        self._lost_to: Lease | None = None
        self._looking = threading.Lock()
        self._released = threading.Event()
        try:
            self._take()
        except OSError as error:
            raise ConfigError(f"cannot lock the sweep {folder}: {error.strerror or error}") from error
        self._renewed = _clock()
        self._thread = threading.Thread(target=self._renew, name="recrun-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise an error if another process has taken the sweep over.

        Just after a suspension, the thread that renews the lease may not have run yet, so the file is read here.

        Raises:
            LeaseLostError: one has, as after this one was suspended, or could not reach the disk, for too long.
        """
        if self._is_overdue and not self._is_lost:
            with suppress(OSError):  # while the disk is away, nothing can be written either
                self._look()
        if self._is_lost:
            has_ended = self._lost_to is None
            holder = "" if self._lost_to is None else f" {self._lost_to.holder}"
            raise LeaseLostError(
                f"another process took over the sweep {self.path.parent}{holder}, since this one did "
                f"not renew its lease for {_PATIENCE * self._lease.interval:g} s (was it suspended, or the disk not "
                f"reachable?); {'it has ended by now: repeat the command' if has_ended else 'the sweep goes on there'}"
            )

    def release(self) -> None:
        """Give the lease back."""
        self._released.set()
        self._thread.join()
        with suppress(OSError):
            found = read_lease(self.path)
            if found is not None and found.token == self._lease.token:
                self.path.unlink()

    def _take(self) -> None:
        for _ in range(_ATTEMPTS):
            content = _content(self.path)
            if content is not None:
                if not self._has_ended(content):
                    raise ConfigError(already_running(self.path.parent, _parse(_content(self.path) or b"")))
                self._set_aside(content)
            with suppress(FileExistsError):
                descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._as_bytes())
                    file.flush()
                    os.fsync(file.fileno())
                return
        raise ConfigError(already_running(self.path.parent, read_lease(self.path)))

    def _has_ended(self, content: bytes) -> bool:
        """Return whether a lease has ended, watching it for three of its intervals where that is not known at once."""
        lease = _parse(content)
        if lease is not None and lease.machine == this_machine() and (self._is_locked or lease.is_of_a_dead_process):
            return True
        interval = self._lease.interval if lease is None else lease.interval
        if self._say is not None:
            who = "" if lease is None else f" {lease.holder}"
            seconds = f"{_PATIENCE * interval:g} s"
            self._say(f"note: watching for {seconds} whether the sweep still runs elsewhere{who}: {self.path}")
        until = time.monotonic() + _PATIENCE * interval
        while time.monotonic() < until:
            time.sleep(min(interval / 5, 1.0))
            found = _content(self.path)
            if found != content:
                return found is None
        return True

    def _set_aside(self, content: bytes) -> None:
        """Remove a lease that has ended, unless another process was faster."""
        aside = self.path.with_name(f".lease-{self._lease.token}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        if _content(aside) != content:  # it is the new one of another process
            with suppress(OSError):
                os.link(aside, self.path)
        aside.unlink()

    @property
    def _is_overdue(self) -> bool:
        """Whether the lease was not renewed for so long that another process may have taken it."""
        return _clock() - self._renewed >= _PATIENCE * self._lease.interval

    def _look(self) -> None:
        """Find out whether another process has, or had, the lease since it was last renewed.

        A lease that is gone was taken and given back by another, unless it was too fresh for that: then somebody has
        removed the file, and it is written again.
        """
        with self._looking:
            content = _content(self.path)
            found = None if content is None else _parse(content)
            if content is None:
                self._is_lost = self._is_lost or self._is_overdue
            elif found is not None and found.token != self._lease.token:
                self._is_lost, self._lost_to = True, found

    def _renew(self) -> None:
        while not self._released.wait(self._lease.interval):
            # While the disk is full or away, nothing is renewed; the next time shows whether that was too long.
            with suppress(OSError):
                self._look()
                if self._is_lost:
                    return
                self._lease = replace(self._lease, beat=self._lease.beat + 1)
                atomic_write(self.path, self._as_bytes())
                self._renewed = _clock()

    def _as_bytes(self) -> bytes:
        return (to_json(asdict(self._lease)) + "\n").encode()


def _clock() -> float:
    """Return seconds that also pass while the machine itself is suspended, where the system counts them."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def already_running(folder: Path, lease: Lease | None) -> str:
    """Return the message that a sweep is running."""
    holder = "(process unknown)" if lease is None else lease.holder
    return f"this sweep is already running {holder}: {folder}; wait for it to end, or stop it"


def _content(path: Path) -> bytes | None:
    """Return what is in a lease's file, or None if there is none.

    Raises:
        OSError: it is there but cannot be read.
    """
    try:
        return read_regular(path, limit=_MAX_BYTES, follow=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return None
        raise


def _parse(content: bytes) -> Lease | None:
    try:
        found: Any = from_json(content.decode())
        lease = Lease(**found)
    except (ValueError, TypeError):
        return None
    texts = (lease.host, lease.started, lease.machine, lease.token)
    is_sound = all(isinstance(text, str) and text.isprintable() for text in texts) and type(lease.pid) is int
    interval = lease.interval
    is_timed = type(interval) in (int, float) and 0 < interval <= _LONGEST and type(lease.beat) is int
    return lease if is_sound and is_timed and lease.pid > 0 else None
