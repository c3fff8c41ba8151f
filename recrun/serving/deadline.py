"""Limit the time of work in an event loop; Python 3.10 has no `asyncio.timeout`."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Deadline:
    """Asynchronous context manager that ends what runs in it after some time.

    Args:
        seconds: how long it may take.

    Raises:
        TimeoutError: on leaving it, if the time was up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_up = False

    async def __aenter__(self) -> Deadline:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle.cancel()
        if self._is_up and isinstance(error, asyncio.CancelledError):
            if hasattr(self._task, "uncancel"):
                self._task.uncancel()
            raise TimeoutError from None

    def _expire(self) -> None:
        self._is_up = True
        self._task.cancel()
