"""Run a program in several processes that find each other as those of torch's launcher do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

HEAD = """
import torch
from recrun.training.parallel.process_group import Processes, ProcessLost
processes = Processes.join()
rank = processes.rank
"""


def run_ranks(program: str, n: int = 2) -> list[tuple[int, str]]:
    """Run a program after HEAD in n processes; return the exit codes and outputs, by rank."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HEAD + program],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(n)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]
