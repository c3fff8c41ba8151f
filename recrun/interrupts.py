"""Ctrl-C and SIGTERM as a wish, not a blow: the first asks the run to save and stop, the second stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and has saved its state."""


class Interrupts:
    """Catches SIGINT and SIGTERM while it is entered.

    Args:
        notify: called once, with the name of the first signal.

    Outside the main thread, where Python delivers no signals, it catches none.
    """

    def __init__(self, notify: Callable[[str], None] | None = None) -> None:
        self.requested = False
        self.at_once = False
        """Set while there is nothing to save: then the first signal stops the run too."""
        self._notify = notify
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or self.at_once:
            raise KeyboardInterrupt
        self.requested = True
        if self._notify is not None:
            self._notify(signal.Signals(number).name)
