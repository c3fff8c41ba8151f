"""Graceful shutdown: the first Ctrl-C, SIGTERM or closed terminal saves and stops, the second request stops at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType, TracebackType
from typing import Any, Final

_HANG_UP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)
"""Sent when the terminal is closed; None on platforms without it."""
_SIGNALS: Final[tuple[signal.Signals, ...]] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP") if hasattr(signal, name)
)
"""On Windows, SIGBREAK asks a process to end."""
_MERGED_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 3.0
_EXIT_INTERRUPTED: Final = 130
_SHOW_CURSOR: Final = b"\x1b[?25h"


_ENDS_PROCESS: Final = ContextVar("_ENDS_PROCESS", default=True)


@contextmanager
def keeping_the_process() -> Iterator[None]:
    """Let no request to stop end the process, whose other work is not ours: that of a notebook, or of a script.

    The second request then stops a long call into torch only when that returns.
    """
    before = _ENDS_PROCESS.set(False)
    try:
        yield
    finally:
        _ENDS_PROCESS.reset(before)


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop and has saved its state."""


class _Handlers:
    """Handles the signals that ask a process to end, and puts the previous handlers back.

    The shell and the system each send a SIGHUP when a terminal is closed. Together they are one request, so after the
    first SIGHUP the others are ignored until the outermost of nested contexts is left. SIGHUP that is ignored already,
    as by nohup, stays ignored.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}

    def _install(self) -> None:
        for number in _SIGNALS:
            if number != _HANG_UP or signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)

    def _uninstall(self) -> None:
        for number, handler in self._previous.items():
            is_nested = isinstance(getattr(handler, "__self__", None), _Handlers)
            if not (is_nested and signal.getsignal(number) == signal.SIG_IGN):
                signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == _HANG_UP:
            signal.signal(number, signal.SIG_IGN)
        self._take(number)

    def _take(self, number: int) -> None:
        raise NotImplementedError


class Interrupts(_Handlers):
    """Context manager that catches SIGINT, SIGTERM and SIGHUP.

    Python runs a signal's handler between two of its own instructions, so a long call into torch delays it. A separate
    thread receives the signal at once: it notifies the user, and ends the process if the work does not stop, except
    within `keeping_the_process`. Python merges two signals that arrive before the handler has run; the thread, which
    sees both, then sends the second one again.

    Args:
        notify: called once, from another thread, with the name of the first signal.
        at_once: whether the first signal already stops the work, because there is nothing to save (yet). May be changed
            while the context is entered.

    Outside the main thread, where Python delivers no signals, it catches none.

    Attributes:
        requested: whether a signal was received.
    """

    def __init__(self, notify: Callable[[str], None] | None = None, *, at_once: bool = False) -> None:
        super().__init__()
        self.requested = False
        self.at_once = at_once
        self._notify = notify
        self._ends_process = _ENDS_PROCESS.get()
        self._ended = threading.Event()
        self._has_raised = False
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
        self._install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._uninstall()
        if self._watcher is not None:
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._write_end)
            self._watcher.join(timeout=_GRACE_SECONDS)
            self._watcher = None

    def _take(self, number: int) -> None:
        is_first, self.requested = not self.requested, True
        if number == _HANG_UP and not is_first:
            return  # Whoever closes the terminal after Ctrl-C does not ask for more haste.
        if self._has_raised and self._ends_process:
            return  # What the first exception set off is not disturbed; the watching thread ends it in time.
        if self.at_once or not is_first:
            self._has_raised = True
            raise KeyboardInterrupt

    def _watch(self, read_end: int) -> None:
        n_requests = 0
        with open(read_end, "rb", buffering=0) as pipe:
            while received := pipe.read(1):
                if received[0] not in _SIGNALS or (n_requests and received[0] == _HANG_UP):
                    continue
                n_requests += 1
                if n_requests > 1 or self.at_once:
                    if not self._ended.wait(_MERGED_SECONDS) and not self._has_raised:
                        self._send_again(received[0])
                    if self._ends_process:
                        self._end_the_process()
                elif self._notify is not None:
                    self._notify(signal.Signals(received[0]).name)

    def _send_again(self, number: int) -> None:
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def _end_the_process(self) -> None:
        """Give the handler's exception a few seconds to end the work, then end the process."""
        if self._ended.wait(_GRACE_SECONDS - _MERGED_SECONDS):
            return
        with suppress(Exception):  # stderr may be closed, or a terminal that is gone
            cursor = _SHOW_CURSOR if sys.stderr.isatty() else b""
            os.write(sys.stderr.fileno(), cursor + b"error: interrupted\n")
        os._exit(_EXIT_INTERRUPTED)


def leave_requests_to_others() -> None:
    """Ignore requests to stop from now on: another process that got them too ends this one."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class StopRequests(_Handlers):
    """Context manager that counts SIGINT, SIGTERM and SIGHUP, for work that checks the count frequently.

    Outside the main thread, where Python delivers no signals, it counts none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._previous_wakeup = -1
        self._is_entered = False

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._is_entered = True
        # An `Interrupts` around it would take the signals for its own, and end the process.
        self._previous_wakeup = signal.set_wakeup_fd(-1)
        self._install()
        return self

    def __exit__(self, *_: object) -> None:
        self._uninstall()
        if self._is_entered:
            signal.set_wakeup_fd(self._previous_wakeup)

    def _take(self, number: int) -> None:
        if number != _HANG_UP or self.count == 0:
            self.count += 1
