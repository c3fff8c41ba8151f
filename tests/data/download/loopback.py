"""A server on this machine that misbehaves as it is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["_Handler", bytes, int], None]
"""Answers one request for some bytes, of which the client has a number already."""


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        server.requests.append((self.path, start))
        self.close_connection = True
        plan = server.plans.get(self.path, [])
        answer = (plan.pop(0) if len(plan) > 1 else plan[0]) if plan else serve
        content = server.contents.get(self.path)
        try:
            if content is None:
                status(404)(self, b"", 0)
            else:
                answer(self, content, start)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def head(self, code: int, length: int | None, **headers: str) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()


class LoopbackServer(ThreadingHTTPServer):
    """Serves `contents` by path; `plans` says how the first, second ... request for a path is answered."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contents: dict[str, bytes] = {}
        self.plans: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, int]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def loopback_server() -> Iterator[LoopbackServer]:
    """Run a server until the end of the block."""
    server = LoopbackServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(handler: _Handler, content: bytes, start: int) -> None:
    """Answer as a good server does."""
    _send(handler, content, start, len(content))


def ignore_range(handler: _Handler, content: bytes, start: int) -> None:
    """Send everything, whatever was asked for."""
    _send(handler, content, 0, len(content))


def drop_after(n_bytes: int) -> Answer:
    """Promise the rest of the file, send some bytes of it, and close the connection."""
    return lambda handler, content, start: _send(handler, content, start, start + n_bytes)


def truncate(n_bytes: int) -> Answer:
    """Send the beginning of the file without saying how long it is."""

    def answer(handler: _Handler, content: bytes, start: int) -> None:
        handler.head(200, None)
        handler.wfile.write(content[:n_bytes])

    return answer


def stall_after(n_bytes: int, seconds: float = 2.0) -> Answer:
    """Send some bytes, then nothing for a while."""

    def answer(handler: _Handler, content: bytes, start: int) -> None:
        _send(handler, content, start, start + n_bytes)
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def claim(length: int) -> Answer:
    """Send the whole file, and say that it has another length."""

    def answer(handler: _Handler, content: bytes, start: int) -> None:
        handler.head(200, length)
        handler.wfile.write(content)

    return answer


def other_range(handler: _Handler, content: bytes, start: int) -> None:
    """Send another part of the file than was asked for."""
    if not start:
        return serve(handler, content, start)
    handler.head(206, len(content) - 1, Content_Range=f"bytes 1-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content[1:])
    return None


def instead(other: bytes) -> Answer:
    """Send something else."""
    return lambda handler, content, start: _send(handler, other, 0, len(other))


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and nothing else."""
    return lambda handler, content, start: handler.head(code, 0, **headers)


def redirect(url: str, code: int = 302) -> Answer:
    """Send the client elsewhere."""
    return status(code, Location=url)


def _send(handler: _Handler, content: bytes, start: int, end: int) -> None:
    if start:
        if start >= len(content):
            return handler.head(416, 0, Content_Range=f"bytes */{len(content)}")
        content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.head(206, len(content) - start, Content_Range=content_range)
    else:
        handler.head(200, len(content))
    handler.wfile.write(content[start:end])
    return None
