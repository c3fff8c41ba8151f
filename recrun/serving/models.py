"""Keep the model that is served, and put another one in its place when the run that is named changes."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch

from recrun.errors import RecrunError
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder
from recrun.serving.monitoring import Monitoring
from recrun.serving.served import Served

_PATIENCE: Final = 60.0
"""Seconds to wait for the last request to a model that was replaced."""


class _Mark(NamedTuple):
    """What tells one checkpoint from another without reading it."""

    file: str
    inode: int
    changed: int
    size: int


@dataclass(frozen=True)
class Reload:
    """How the last attempt to serve another model ended.

    Args:
        at: when, in seconds since 1970.
        ok: whether that model is served now.
    """

    at: float
    ok: bool


class Models:
    """The model that is served, and a thread that watches for the next.

    A request that has begun keeps the model that it began with, which is freed after the last of them. While the next
    one is loaded, both are in memory.

    Args:
        path: the run; the link `latest` is followed anew each time.
        open_it: opens the run.
        every: seconds between two looks at the path; None not to look.
        monitoring: counts reloads.
        say: is told, in a line, of each reload.
        report: is told of an error.

    Attributes:
        current: the model that is served.
        last_reload: how the last attempt to serve another one ended; None if there was none.

    Raises:
        RecrunError: the run cannot be served.
    """

    def __init__(
        self,
        path: Path,
        open_it: Callable[[], Served],
        *,
        every: float | None,
        monitoring: Monitoring,
        say: Callable[[str], None],
        report: Callable[[BaseException], None],
    ) -> None:
        self._path, self._open, self._every = path, open_it, every
        self._monitoring, self._say, self._report = monitoring, say, report
        self._mark, _ = _look_at(path)
        self._failed: _Mark | None = None
        self.current = open_it()
        self.last_reload: Reload | None = None
        monitoring.serves(self.current.about)
        _set_aside()
        self._asked, self._wake, self._is_closed = False, threading.Event(), False
        self._thread = threading.Thread(target=self._watch, name="recrun-reload", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def reload(self) -> None:
        """Open the run anew, in the thread that watches."""
        self._asked = True
        self._wake.set()

    def close(self) -> None:
        """Watch no longer; a model that is being loaded is given up with the process."""
        self._is_closed = True
        self._wake.set()
        gc.unfreeze()

    def _watch(self) -> None:
        torch.set_num_threads(1)  # the processors are for requests
        while not self._is_closed:
            self._wake.wait(self._every)
            self._wake.clear()
            asked, self._asked = self._asked, False
            if not self._is_closed and (asked or self._has_changed()):
                self._replace()

    def _has_changed(self) -> bool:
        """Return whether the path leads to another checkpoint, of a run that is done, which was not tried yet."""
        try:
            mark, run = _look_at(self._path)
            if mark in (self._mark, self._failed):
                return False
            return run is None or run.read_run().get("status") == "done"
        except (RecrunError, OSError):
            return False  # the run is being made or removed at this moment, or there is none

    def _replace(self) -> None:
        mark = None
        try:
            mark, _ = _look_at(self._path)
            served = self._open()
        except BaseException as error:  # code of a user's own may raise what is no Exception
            self._failed = mark
            self.last_reload = Reload(time.time(), ok=False)
            self._monitoring.reloaded(ok=False)
            self._say(f"the run {self.current.about.run} is served on: another could not be loaded")
            self._report(error)
            return
        before, of_before = self.current.about, weakref.ref(self.current)
        self.current, self._mark = served, mark
        self._monitoring.serves(served.about)
        self._monitoring.reloaded(ok=True)
        self.last_reload = Reload(time.time(), ok=True)
        self._say(f"serving the run {served.about.run} in place of {before.run}")
        _free(of_before)


def _free(before: weakref.ref[Served]) -> None:
    """Free a model that was replaced, once no request needs it any more.

    A model lies in circles of references, which the garbage collector alone finds.
    """
    until = time.monotonic() + _PATIENCE
    while before() is not None and time.monotonic() < until:
        time.sleep(0.05)
    gc.unfreeze()
    _set_aside()


def _set_aside() -> None:
    """Have the garbage collector leave alone what is there now.

    It would go through all objects of a model again and again, and hold up every request meanwhile.
    """
    gc.collect()
    gc.freeze()


def _look_at(path: Path) -> tuple[_Mark, RunFolder | None]:
    """Return what tells the checkpoint that a path leads to from others, and its run.

    Raises:
        CheckpointError: there is none.
    """
    run, file = locate_checkpoint(path)
    found = os.stat(file)
    return _Mark(str(file), found.st_ino, found.st_mtime_ns, found.st_size), run
