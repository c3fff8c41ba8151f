"""Measure requests a second, and their latency, of `recrun serve` with 1, 16 and 64 clients over loopback.

    python benchmarks/serving.py [--seconds 10] [--clients 1 16 64] [--rounds 3] [--histories] [--run RUN ...]
    python benchmarks/serving.py --soak 120

Trains bprmf on Gowalla (or synthetic data of its size) and sasrec on synthetic data of that size, with times, for one
epoch: how good a model is makes no difference here. Each client keeps a connection and asks for 10 items for a random
user as soon as its last request is answered; all of them run in one process, which shares the cores with the server.
With --histories it asks for a new user, by a history of 20 random items, which the model has to read.

The floor is the same ranking, one user at a time in a loop on one thread, without a server. A server can be faster than
that, because it ranks for requests that wait together at once. Rounds of the floor and of the server alternate, and the
median round is shown. A status other than 200, a closed connection, or a list of another length is an error.

With --soak, 16 clients ask for so many seconds, each tenth request for similar items, each tenth for a new user, and
each tenth malformed on purpose, which must be refused, while the memory of the server is read.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _common import (
    GOWALLA,
    REPOSITORY,
    gowalla,
    json_of,
    machine,
    median,
    python,
    record,
    recrun,
    run_child,
    table,
)

K = 10
LENGTH = 20
"""Items of a history."""
_FLAT = 1.05
"""The most that memory may grow during a soak, after its first quarter."""


def main() -> int:
    """Run the benchmark; return 1 if there was an error, or memory grew."""
    arguments = _arguments()
    if arguments.part:
        print(json.dumps(_floor(*arguments.part) if len(arguments.part) == 3 else _load(arguments.part)))
        return 0
    print(machine(1))
    n_errors = 0
    with tempfile.TemporaryDirectory() as folder:
        runs = [os.path.abspath(run) for run in arguments.run or _trained(Path(folder))]
        for run in runs:
            n_errors += _soak(run, arguments) if arguments.soak else _compare(run, arguments)
    return 1 if n_errors else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="threads that rank")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--histories", action="store_true", help="ask for new users")
    parser.add_argument("--run", nargs="+", help="runs to serve instead, trained on data that is found by itself")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def _trained(folder: Path) -> Iterator[str]:
    """Train the two models, and yield their runs."""
    name, overrides = gowalla()
    sizes = [f"{key}={value}" for key, value in GOWALLA.items()]
    for model, data in (("bprmf", overrides), ("sasrec", ["dataset=Synthetic", *sizes, "max_length=50"])):
        print(f"training {model} on {name if model == 'bprmf' else 'synthetic data of the size of Gowalla'}")
        runs = folder / model
        settings = [*data, "epochs=1", "eval_freq=5", "embedding_dim=64", "per_user=false", "plots=false", "threads=1"]
        run_child(recrun("train", model, *settings, "--runs", str(runs), "-q"))
        yield str(runs / "latest")


def _compare(run: str, arguments: argparse.Namespace) -> int:
    """Measure one run, and return the number of errors."""
    floors, found = [], {n: [] for n in arguments.clients}
    asked = "histories" if arguments.histories else "users"
    for _ in range(arguments.rounds):
        floors.append(json_of(run_child(python(__file__, "--part", run, asked, str(arguments.seconds))).output))
        with _server(run, arguments.threads) as (ready, _):
            for n_clients in arguments.clients:
                found[n_clients].append(_ask(ready, run, n_clients, asked, arguments.seconds))
    floor = median([each["1"] for each in floors])
    print(f"\n{floors[0]['model']}, {asked}: {floors[0]['n_users']} users, {floors[0]['n_items']} items")
    print(
        f"floor, lists a second: {floor:.0f}; 16 at once {median([each['16'] for each in floors]):.0f}, 64 at once ",
        end="",
    )
    print(f"{median([each['64'] for each in floors]):.0f}")
    rows = []
    for n_clients, rounds in found.items():
        rate, p50, p99 = (median([each[name] for each in rounds]) for name in ("rate", "p50", "p99"))
        n_errors = sum(each["errors"] for each in rounds)
        rows.append([f"{n_clients}", rate, p50, p99, rate / floor, f"{n_errors}"])
        if n_clients == 16:
            target = f"serving {floors[0]['model']}, {asked}, at 16 clients, against one user at a time in a loop"
            record(target, rate / floor, ">= 1", rate >= floor and not n_errors, "x")
    table(["clients", "requests/s", "p50 ms", "p99 ms", "x floor", "errors"], rows)
    return sum(int(row[-1]) for row in rows)


def _soak(run: str, arguments: argparse.Namespace) -> int:
    """Ask for a long time, print the server's memory, and return the number of errors, growth being one."""
    sizes: list[tuple[float, float]] = []
    seconds = arguments.soak
    with _server(run, arguments.threads) as (ready, server):
        command = python(__file__, "--part", run, str(ready["port"]), "16", "mixed", str(seconds))
        start = time.monotonic()
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while client.poll() is None:
            if time.monotonic() - start >= len(sizes) * seconds / 12:
                sizes.append((time.monotonic() - start, _resident_mb(server.pid)))
            time.sleep(0.1)
        found = json_of(client.communicate()[0])
    what = f"{found['requests']:,} requests in {seconds:.0f} s, {found['refused']:,} of them malformed"
    print(f"\n{run}: {what}, errors {found['errors']}")
    table(["s", "resident MB"], [[float(at), size] for at, size in sizes])
    settled, last = max(size for at, size in sizes if at <= seconds / 4), sizes[-1][1]
    print(f"memory after the first quarter {settled:.0f} MB, at the end {last:.0f} MB")
    return int(found["errors"]) + (last > settled * _FLAT)


@contextmanager
def _server(run: str, threads: int) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Serve a run, and yield what it says once it is ready; it must stop with exit code 0."""
    command = recrun(
        "serve", run, f"threads={threads}", "--port", "0", "--no-access-log", "--json", "--reload-every", "0"
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            if not line:
                raise RuntimeError("the server did not start")
            yield json.loads(line), server
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(60):
                raise RuntimeError(f"the server ended with {server.returncode}")


def _ask(ready: dict[str, Any], run: str, n_clients: int, asked: str, seconds: float) -> dict[str, Any]:
    command = python(__file__, "--part", run, str(ready["port"]), str(n_clients), asked, str(seconds))
    found: dict[str, Any] = json_of(run_child(command).output)
    return found


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


# --- in a process of its own: the floor ------------------------------------------------------------------------------


def _floor(run: str, asked: str, seconds: str) -> dict[str, Any]:
    """Return the lists a second that one thread ranks in a loop, of one user at a time and of blocks."""
    import torch

    from recrun.data.interactions import CSR
    from recrun.recommendation.block_ranker import BlockRanker
    from recrun.workflows.recommender import open_recommender

    recommender, loaded = open_recommender(run, ["threads=1"], as_of="end")
    ranker, generator = BlockRanker(recommender), np.random.default_rng(0)
    found: dict[str, Any] = {
        "model": str(loaded.resolved.config.model),
        "n_users": recommender.n_users,
        "n_items": recommender.n_items,
    }
    with torch.no_grad():
        for n_users in (1, 16, 64):
            users = generator.integers(0, recommender.n_users, (1024, n_users))
            items = generator.integers(0, recommender.n_items, (1024, n_users, LENGTH), dtype=np.int32)

            def rank(place: int, users: Any = users, items: Any = items) -> None:
                if asked == "users":
                    ranker.recommend(users[place], K, ranker.seen_by(users[place]))
                    return
                history = items[place].ravel()
                rows = np.repeat(np.arange(len(items[place])), LENGTH)
                ranker.recommend_to_new(CSR(np.arange(len(items[place]) + 1) * LENGTH, history), K, (rows, history))

            rank(0)
            n_done, start = 0, time.perf_counter()
            while (took := time.perf_counter() - start) < float(seconds) / 3:
                rank(n_done % len(users))
                n_done += 1
            found[str(n_users)] = n_done * n_users / took
    return found


# --- in a process of its own: the clients ----------------------------------------------------------------------------


def _load(part: list[str]) -> dict[str, Any]:
    """Ask as several clients, and return what was measured."""
    run, port, n_clients, asked, seconds = part[0], int(part[1]), int(part[2]), part[3], float(part[4])
    requests = _requests(run, asked)
    loop = asyncio.new_event_loop() if find_spec("uvloop") is None else import_module("uvloop").new_event_loop()
    return loop.run_until_complete(_ask_as_many(port, n_clients, seconds, requests))


def _requests(run: str, asked: str) -> list[tuple[bytes, int]]:
    """Return requests, and the status that each must be answered with."""
    from recrun.workflows.recommender import open_recommender

    recommender, _ = open_recommender(run, ["threads=1"], as_of="end")
    generator = np.random.default_rng(1)
    users = recommender.users.originals(generator.integers(0, recommender.n_users, 20_000)).tolist()
    items = recommender.items.originals(generator.integers(0, recommender.n_items, 20_000)).tolist()
    found = []
    for place, (user, item) in enumerate(zip(users, items, strict=True)):
        if asked == "mixed" and place % 10 == 0:
            found.append((f"GET /similar?item={item}&k={K} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 200))
            continue
        is_wrong = asked == "mixed" and place % 10 == 5
        is_new = asked == "histories" or (asked == "mixed" and place % 10 == 3)
        history = [items[(place + each) % len(items)] for each in range(LENGTH)]
        whom = {"history": history} if is_new else {"users": [user]}
        body = json.dumps({**whom, "k": 0 if is_wrong else K}).encode()
        headers = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        found.append((f"POST /recommend HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body, 422 if is_wrong else 200))
    return found


async def _ask_as_many(port: int, n_clients: int, seconds: float, requests: list[tuple[bytes, int]]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    clients = []
    warm = loop.time() + min(1.0, seconds / 4)
    until = warm + seconds
    for number in range(n_clients):
        mine = requests[number::n_clients]
        _, client = await loop.create_connection(lambda mine=mine: _Client(mine, warm, until), "127.0.0.1", port)
        clients.append(client)
    await asyncio.gather(*(client.ended for client in clients))
    seconds_N = np.array([each for client in clients for each in client.seconds])
    return {
        "requests": len(seconds_N),
        "refused": sum(client.n_refused for client in clients),
        "errors": sum(client.n_errors for client in clients),
        "rate": len(seconds_N) / seconds,
        "p50": 1000 * float(np.percentile(seconds_N, 50)),
        "p99": 1000 * float(np.percentile(seconds_N, 99)),
    }


class _Client(asyncio.Protocol):
    """Asks one request after the other until it is time to stop."""

    def __init__(self, requests: list[tuple[bytes, int]], warm: float, until: float) -> None:
        self._requests, self._warm, self._until = requests, warm, until
        self._loop = asyncio.get_running_loop()
        self._n_sent, self._received, self._sent_at = 0, b"", 0.0
        self.seconds: list[float] = []
        self.n_errors = self.n_refused = 0
        self.ended = self._loop.create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.n_errors += 1
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        now = self._loop.time()
        if now >= self._warm:
            self.seconds.append(now - self._sent_at)
        self._check(int(head[9:12]), body)
        self._received = b""
        if now < self._until:
            self._send()
        else:
            self.ended.set_result(None)
            self._transport.close()

    def _check(self, status: int, body: bytes) -> None:
        wanted = self._requests[(self._n_sent - 1) % len(self._requests)][1]
        self.n_refused += status == 422
        # Reading all of the JSON would cost the server's cores; a list of K items has K - 1 commas, as its scores have.
        is_whole = status != 200 or body.count(b",") >= 2 * (K - 1)
        self.n_errors += status != wanted or not is_whole

    def _send(self) -> None:
        self._sent_at = self._loop.time()
        self._transport.write(self._requests[self._n_sent % len(self._requests)][0])
        self._n_sent += 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
