"""The server on a real socket: bounds of connections, reloads and stops that drop nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.serving.limits import Limits
from recrun.serving.server import Ready, Settings, Voices, bind, is_loopback, serve

from .conftest import train


@contextmanager
def serving(run: Path, limits: Limits) -> Iterator[Ready]:
    """Serve a run in a thread of this process."""
    told: SimpleQueue[Ready] = SimpleQueue()
    errors: list[BaseException] = []
    voices = Voices(told.put, lambda line: None, None, errors.append)
    codes: list[int] = []
    settings = Settings(run, port=0, limits=limits, reload_every=None)
    thread = threading.Thread(target=lambda: codes.append(serve(settings, voices)))
    thread.start()
    ready = told.get(timeout=60)
    try:
        yield ready
    finally:
        ready.stop()
        thread.join(30)
    assert codes == [0]
    assert errors == []


@pytest.fixture(scope="module")
def ready(run: Path) -> Iterator[Ready]:
    """A server with small limits."""
    with serving(run, Limits(idle=0.5, head=2000, body=5000, connections=20, seconds=1.0)) as ready:
        yield ready


def _answer(connection: socket.socket) -> tuple[int, Any]:
    """Return the status and the document of the answer to what was sent."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


def _connect(ready: Ready) -> socket.socket:
    return socket.create_connection((ready.host, ready.port), timeout=20)


def _post(body: bytes, *more: str) -> bytes:
    lines = ["POST /recommend HTTP/1.1", "Host: x", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def test_one_connection_carries_many_requests(ready: Ready) -> None:
    connection = http.client.HTTPConnection(ready.host, ready.port, timeout=20)
    for _ in range(5):
        connection.request(
            "POST",
            "/recommend",
            json.dumps({"users": ["0"], "skip_unknown": True}),
            {"content-type": "application/json"},
        )
        answer = connection.getresponse()
        assert answer.status in (200, 422)
        assert json.loads(answer.read())
    connection.close()


@pytest.mark.parametrize(
    "sent", [b"hello\r\n\r\n", b"\x16\x03\x01" * 20, b"GET / HTTP/9.9\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_http_is_refused_in_json(ready: Ready, sent: bytes) -> None:
    with _connect(ready) as connection:
        connection.sendall(sent)
        status, found = _answer(connection)
        assert 400 <= status < 500
        assert found["error"]["code"] in ("bad_request", "not_found")


def _trickle(connection: socket.socket, piece: bytes, pause: float) -> None:
    """Send a piece again and again, for ten seconds.

    Raises:
        ConnectionError: the connection was closed.
    """
    until = time.monotonic() + 10
    while time.monotonic() < until:
        connection.sendall(piece)
        time.sleep(pause)


def test_headers_without_end_are_refused(ready: Ready) -> None:
    with _connect(ready) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
        with pytest.raises(ConnectionError):
            _trickle(connection, b"y" * 500, 0.001)
    with _connect(ready) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX: " + b"y" * 3000 + b"\r\n\r\n")
        assert _answer(connection)[0] == 431


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_sends_no_whole_head_is_closed(ready: Ready, sent: bytes) -> None:
    with _connect(ready) as connection:
        start = time.monotonic()
        connection.sendall(sent)
        assert connection.recv(100) == b""
        assert time.monotonic() - start > 0.4


def test_a_trickle_of_headers_does_not_keep_a_connection_open(ready: Ready) -> None:
    with _connect(ready) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        start = time.monotonic()
        with pytest.raises(ConnectionError):
            _trickle(connection, b"X: y\r\n", 0.05)
        assert time.monotonic() - start < 5


def test_a_trickle_of_a_body_is_given_up(ready: Ready) -> None:
    with _connect(ready) as connection:
        connection.sendall(_post(b"{" * 100)[:-50])
        assert _answer(connection) == (408, {"error": {"code": "slow_body", "message": "expected the body within 1 s"}})


def test_a_chunked_body_is_read_up_to_the_limit(ready: Ready) -> None:
    head = (
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with _connect(ready) as connection:
        connection.sendall(head + b"3e8\r\n" + b" " * 1000 + b"\r\n0\r\n\r\n")
        assert _answer(connection)[1]["error"]["code"] == "bad_json"
    with _connect(ready) as connection:
        connection.sendall(head)
        for _ in range(6):
            connection.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        assert _answer(connection)[1]["error"]["code"] == "too_large"


def _send(connection: socket.socket, content: bytes, n: int, pause: float = 0.0) -> None:
    """Send the same again and again, and read nothing.

    Raises:
        ConnectionError: the connection was closed.
    """
    connection.settimeout(20)
    for _ in range(n):
        connection.sendall(content)
        time.sleep(pause)


def test_requests_far_ahead_of_their_answers_end_the_connection(ready: Ready) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with _connect(ready) as connection:
        connection.sendall(request * 10)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 10:
            received += connection.recv(65536)
    with _connect(ready) as connection, pytest.raises(ConnectionError):
        _send(connection, request * 50, 1000)


def test_a_client_that_does_not_read_its_answers_is_dropped(ready: Ready) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((ready.host, ready.port))
        with pytest.raises(ConnectionError):
            _send(connection, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 10, 2000, 0.02)


def test_too_many_connections_are_refused(ready: Ready) -> None:
    open_ones = [_connect(ready) for _ in range(20)]
    try:
        time.sleep(0.1)
        with _connect(ready) as connection:
            assert _answer(connection)[0] == 503
    finally:
        for each in open_ones:
            each.close()


def test_addresses_that_cannot_be_used_are_refused(ready: Ready) -> None:
    for host, port in ((ready.host, ready.port), ("203.0.113.7", 0), ("no-such-host.invalid", 0), ("a" * 70, 0)):
        with pytest.raises(ConfigError, match=r"--host|--port"), bind(host, port):
            pass


def test_addresses_of_this_machine_are_known() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.org", "")))


# --- processes -------------------------------------------------------------------------------------------------------


@contextmanager
def process(run: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Serve in a process of its own."""
    command = [sys.executable, "-m", "recrun", "serve", str(run), "--port", "0", "--json", "--no-access-log", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, json.loads(server.stdout.readline())
        finally:
            server.kill()


class Clients:
    """Threads that ask until their connection is closed, and count answers that did not come."""

    def __init__(self, port: int, n: int) -> None:
        self.statuses: list[int] = []
        self.runs: set[str] = set()
        self.dropped: list[str] = []
        self.is_ended = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._ask) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all have ended."""
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        try:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        except OSError:
            return
        body = json.dumps({"users": list(range(1, 9)), "skip_unknown": True, "k": 5}).encode()
        with connection:
            while not self.is_ended.is_set():
                try:
                    connection.sendall(_post(body))
                    answer = http.client.HTTPResponse(connection)
                    answer.begin()
                    document = json.loads(answer.read())
                except (OSError, http.client.HTTPException, ValueError) as error:
                    self.dropped.append(repr(error))
                    return
                self.statuses.append(answer.status)
                self.runs.add(str(document.get("run")))
                if answer.getheader("connection") == "close":
                    return


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_under_load_answers_all_that_was_sent(run: Path, number: int, code: int) -> None:
    with process(run) as (server, ready):
        clients = Clients(ready["port"], 8)
        time.sleep(1.0)
        server.send_signal(number)
        clients.join()
        assert server.wait(30) == code
        assert server.stderr is not None
        assert server.stderr.read() == ""
    assert clients.dropped == []
    assert len(clients.statuses) > 50
    assert set(clients.statuses) == {200}


@pytest.mark.slow
def test_a_second_signal_stops_at_once(run: Path) -> None:
    with process(run) as (server, ready), socket.create_connection(("127.0.0.1", ready["port"])) as connection:
        connection.sendall(_post(b"{}")[:-1])  # a request that is never whole
        time.sleep(0.3)
        server.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(3) == 130


@pytest.mark.slow
def test_a_reload_under_load_drops_nothing(tmp_path: Path) -> None:
    first = train(tmp_path)
    with process(tmp_path / "latest", "--reload-every", "0.1") as (server, ready):
        clients = Clients(ready["port"], 4)
        second = train(tmp_path, "seed=2", "id=second")
        until = time.monotonic() + 30
        while "second" not in clients.runs and time.monotonic() < until:
            time.sleep(0.1)
        server.send_signal(signal.SIGHUP)
        time.sleep(2)
        clients.is_ended.set()
        clients.join()
        assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        assert server.stderr is not None
        said = server.stderr.read().splitlines()
    assert clients.dropped == []
    assert set(clients.statuses) == {200}
    assert clients.runs == {first.name, second.name}
    assert [line.partition(" ")[2] for line in said] == [
        f"serving the run second in place of {first.name}",
        "serving the run second in place of second",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts what the process has open in /proc")
def test_reloads_leave_nothing_open(run: Path) -> None:
    with process(run) as (server, ready):
        n_open, n_threads = [], []
        for n_reloads in range(1, 21):
            server.send_signal(signal.SIGHUP)
            until = time.monotonic() + 20
            while f'recrun_reloads_total{{result="done"}} {n_reloads}.0' not in _metrics(ready["port"]):
                assert time.monotonic() < until
                time.sleep(0.02)
            n_open.append(_fewest(f"/proc/{server.pid}/fd"))
            n_threads.append(_fewest(f"/proc/{server.pid}/task"))
    assert max(n_open[5:]) <= max(n_open[:5])
    assert max(n_threads[5:]) <= max(n_threads[:5])


def _fewest(folder: str) -> int:
    """Return the fewest entries within a moment: what is left once the server has closed the last connection."""
    counts = []
    for _ in range(10):
        counts.append(len(os.listdir(folder)))
        time.sleep(0.02)
    return min(counts)


def _metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    found = connection.getresponse().read().decode()
    connection.close()
    return found


def test_connections_that_are_lost_while_several_requests_wait_are_no_error(run: Path) -> None:
    body = json.dumps({"users": ["0"], "skip_unknown": True}).encode()
    with serving(run, Limits(connections=1000)) as ready:
        for _ in range(50):
            with _connect(ready) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(_post(body) * 5)
        with _connect(ready) as connection:
            connection.sendall(_post(body, "Connection: close"))
            assert _answer(connection)[0] in (200, 422)
