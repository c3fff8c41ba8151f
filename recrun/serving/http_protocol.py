"""Bound what connections may cost before they have sent a request: time, the bytes of its head, and their number.

uvicorn closes connections that are idle between two requests; how long headers may take, and how long they may be, is
seen to here. What it says itself, as of text that is not HTTP, is JSON as all answers are.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recrun.serving.limits import Limits
from recrun.serving.refusal import Refusal


def protocol_within(limits: Limits) -> type[asyncio.Protocol]:
    """Return a protocol of HTTP for uvicorn that keeps within limits."""

    class Protocol(_BoundedProtocol):
        bounds = limits

    return Protocol


class _BoundedProtocol(HttpToolsProtocol):
    bounds: Limits
    _deadline: asyncio.TimerHandle | None = None
    _n_bytes_of_head = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(Refusal(503, "busy", "too many connections; try again", {"Retry-After": "1"}))
        else:
            self._deadline = self.loop.call_later(self.bounds.idle, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        waited = self._waits_for_head()
        super().data_received(data)
        if self.transport.is_closing() or not self._waits_for_head():
            self._head_is_complete()
        elif waited:
            self._n_bytes_of_head += len(data)
            if self._n_bytes_of_head > self.bounds.head:
                self._refuse(long_head(self.bounds))
            elif self._deadline is None:
                self._deadline = self.loop.call_later(self.bounds.idle, self._give_up)

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


def long_head(limits: Limits) -> Refusal:
    """Return the refusal of a request whose line and headers are too long."""
    message = f"expected a request whose line and headers have at most {limits.head} bytes"
    return Refusal(431, "head_too_large", message, {"Connection": "close"})
