"""Graceful shutdown: the first Ctrl-C or SIGTERM saves and stops, the second stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

_SIGNALS: Final[tuple[signal.Signals, ...]] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
"""On Windows, SIGBREAK asks a process to end."""
_HANG_UP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)
"""None on platforms without it."""
_GRACE_SECONDS: Final = 3.0
_EXIT_INTERRUPTED: Final = 130
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and has saved its state."""


class Interrupts:
    """Context manager that catches SIGINT and SIGTERM.

    Python runs a signal's handler between two of its own instructions, so a long call into torch delays it. A separate
    thread receives the signal at once: it notifies the user, and ends the process if the work does not stop.

    Args:
        notify: called once, from another thread, with the name of the first signal.
        at_once: whether the first signal already stops the work, because there is nothing to save (yet). May be changed
            while the context is entered.

    Outside the main thread, where Python delivers no signals, it catches none.
    """

    def __init__(self, notify: Callable[[str], None] | None = None, *, at_once: bool = False) -> None:
        self.requested = False
        self.at_once = at_once
        self._notify = notify
        self._ended = threading.Event()
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_wakeup = -1
        self._write_end = -1
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self
        read_end, self._write_end = os.pipe()
        if hasattr(os, "set_blocking"):  # Windows before Python 3.12 has no set_blocking and does not need it
            os.set_blocking(self._write_end, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, args=(read_end,), name="recrun-signals", daemon=True)
        self._watcher.start()
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
        if self._watcher is not None:
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._write_end)
            self._watcher.join(timeout=_GRACE_SECONDS)
            self._watcher = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or self.at_once:
            raise KeyboardInterrupt
        self.requested = True

    def _watch(self, read_end: int) -> None:
        n_signals = 0
        with open(read_end, "rb", buffering=0) as pipe:
            while received := pipe.read(1):
                if received[0] not in _SIGNALS:
                    continue
                n_signals += 1
                if n_signals > 1 or self.at_once:
                    self._end_the_process()
                elif self._notify is not None:
                    self._notify(signal.Signals(received[0]).name)

    def _end_the_process(self) -> None:
        """Give the handler's exception a few seconds to end the work, then end the process."""
        if self._ended.wait(_GRACE_SECONDS):
            return
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _SHOW_CURSOR)
        os._exit(_EXIT_INTERRUPTED)


class StopRequests:
    """Context manager that counts SIGINT, SIGTERM and SIGHUP, for work that checks the count frequently.

    A signal that is already ignored, as by nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.count = 0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequests:
        for number in (*_SIGNALS, _HANG_UP):
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
