"""Bound what connections may cost: their number, the time and the bytes of a request's head, and unread answers.

uvicorn closes connections that are idle between two requests. Slow or endless headers, clients that do not read, and
those that send request after request ahead of the answers are left to this module. What it says itself, as of text that
is not HTTP, is JSON as all answers are.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from recrun.serving.limits import Limits
from recrun.serving.refusal import Refusal

_AHEAD: Final = 16
"""The most requests that may be sent on a connection before the first of them is answered."""


def protocol_within(limits: Limits) -> type[asyncio.Protocol]:
    """Return a protocol of HTTP for uvicorn that keeps within limits."""

    class Protocol(_BoundedProtocol):
        bounds = limits

    return Protocol


class _BoundedProtocol(HttpToolsProtocol):
    bounds: Limits
    _deadline: asyncio.TimerHandle | None = None
    _abort: asyncio.TimerHandle | None = None
    _n_bytes_of_head = 0
    _is_ahead = False
    _unanswered: tuple[RequestResponseCycle, ...] = ()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(Refusal(503, "busy", "too many connections; try again", {"Retry-After": "1"}))
        else:
            self._deadline = self.loop.call_later(self.bounds.idle, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        self._is_read()
        self.pipeline.clear()
        for cycle in self._unanswered:  # uvicorn tells this to the last request alone, not to the one being answered
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._must_be_read()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_read()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._must_be_read()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        waited = self._waits_for_head()
        super().data_received(data)
        if self._is_ahead:
            self.transport.abort()
        if self.transport.is_closing() or not self._waits_for_head():
            self._head_is_complete()
        elif waited:
            self._n_bytes_of_head += len(data)
            if self._n_bytes_of_head > self.bounds.head:
                self._refuse(long_head(self.bounds))
            elif self._deadline is None:
                self._deadline = self.loop.call_later(self.bounds.idle, self._give_up)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= _AHEAD:
            self._is_ahead = True  # nothing is raised here: the parser would take it for bad HTTP
            return
        super().on_headers_complete()
        open_ones = (each for each in (*self._unanswered, self.cycle) if each and not each.response_complete)
        self._unanswered = tuple(open_ones)

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal(400, "bad_request", "this is not HTTP"))

    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _head_is_complete(self) -> None:
        self._n_bytes_of_head = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._waits_for_head():
            self.transport.close()
            self._must_be_read()

    def _must_be_read(self) -> None:
        """Give the client some time to read what was sent; a connection is not closed before that, unless aborted."""
        if self._abort is None:
            self._abort = self.loop.call_later(self.bounds.idle, self.transport.abort)

    def _is_read(self) -> None:
        if self._abort is not None:
            self._abort.cancel()
            self._abort = None

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        headers = {
            **refusal.headers,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}", *map(": ".join, headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
        self.transport.close()
        self._must_be_read()


def long_head(limits: Limits) -> Refusal:
    """Return the refusal of a request whose line and headers are too long."""
    message = f"expected a request whose line and headers have at most {limits.head} bytes"
    return Refusal(431, "head_too_large", message, {"Connection": "close"})
