"""Time epochs of a small model while other processes keep every core busy, and while none do.

    python benchmarks/contention.py [--epochs 3] [--busy N] [--threads 2]

torch's threads wait for each other many times per step. By default they spin while they wait; `recrun` makes them sleep
soon (GOMP_SPINCOUNT=1000). When other processes use the cores, the thread they wait for may not be running, and
spinning keeps it from getting a core. `recrun train bprmf` is run both ways, in turn, alone and beside N busy processes
(by default as many as there are cores). Only GNU's OpenMP, which torch uses on Linux, reads the variable.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from _common import json_of, machine, median, recrun, run_child, table

WAYS = {"spinning": "300000", "sleeping soon": "1000"}
BUSY = "while True: pass"


@contextmanager
def busy(n: int) -> Iterator[None]:
    """Run `n` busy processes."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def epoch_seconds(spins: str, options: argparse.Namespace) -> float:
    """Return the seconds per epoch of `recrun train bprmf`."""
    os.environ["GOMP_SPINCOUNT"] = spins
    settings = [f"epochs={options.epochs}", f"threads={options.threads}", "eval_test=false", "device=cpu"]
    with tempfile.TemporaryDirectory() as runs:
        result = json_of(run_child(recrun("train", "bprmf", *settings, "--json", "--quiet", "--runs", runs)).output)
    return float(result["seconds"]["train"]) / options.epochs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    seconds: dict[tuple[int, str], list[float]] = {}
    for n in (0, options.busy):
        with busy(n):
            for _ in range(options.rounds):
                for name, spins in WAYS.items():
                    seconds.setdefault((n, name), []).append(epoch_seconds(spins, options))
    print(machine(options.threads))
    rows = [[n, *(median(seconds[n, name]) for name in WAYS)] for n in (0, options.busy)]
    table(["busy processes", *(f"{name} s" for name in WAYS), "ratio"], [[*row, row[1] / row[2]] for row in rows])


if __name__ == "__main__":
    main()
