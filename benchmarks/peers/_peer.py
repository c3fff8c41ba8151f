"""Provide what the peers' scripts share: options, reading Gowalla, and the JSON they print. Needs only numpy."""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

EMBEDDING_DIM, BATCH_SIZE, LEARNING_RATE = 64, 2048, 1e-3
CUTOFFS = (10, 20)
N_ITERATIONS, N_NEIGHBORS = 10, 100
Pairs = tuple[np.ndarray, np.ndarray]
clock: Callable[[], float] = time.perf_counter
"""The clock for all timings; `options` sets it."""


def options(description: str | None) -> argparse.Namespace:
    """Read the command line, which is the same for all peers."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.txt and test.txt (or .txt.gz)")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds of the process instead of wall time")
    parser.add_argument("--closed-form", action="store_true", help="time the fits of `closed_form.py` instead")
    arguments = parser.parse_args()
    global clock
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    return arguments


def read(folder: Path, part: str) -> Pairs:
    """Read the users (N,) and items (N,) of a part from lines `user item item ...`, one per user."""
    path = folder / f"{part}.txt"
    text = gzip.decompress(Path(f"{path}.gz").read_bytes()) if not path.exists() else path.read_bytes()
    lines = [np.array(line.split(), dtype=np.int64) for line in text.splitlines() if line.strip()]
    users = np.concatenate([np.full(len(line) - 1, line[0]) for line in lines])
    return users, np.concatenate([line[1:] for line in lines])


def seconds_of(task: Callable[[], object]) -> float:
    """Return the seconds of a task."""
    start = clock()
    task()
    return clock() - start


def report_fits(package: str, fits: dict[str, Callable[[], object]]) -> None:
    """Time fits, and print their wall and processor seconds as one line of JSON."""
    seconds: dict[str, list[float]] = {}
    for name, fit in fits.items():
        wall, processor = time.perf_counter(), time.process_time()
        fit()
        seconds[name] = [time.perf_counter() - wall, time.process_time() - processor]
    print(json.dumps({"peer": package, "version": version(package), "fits": seconds}), flush=True)


def report(package: str, epochs: list[float], evaluations: list[float], numbers: dict[str, float], note: str) -> None:
    """Print the measurements as one line of JSON."""
    document: dict[str, Any] = {
        "peer": package,
        "version": version(package),
        "epochs": epochs,
        "evaluations": evaluations,
        "numbers": {name: round(float(value), 6) for name, value in numbers.items()},
        "note": note,
    }
    print(json.dumps(document), flush=True)
