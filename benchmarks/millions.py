"""Measure how time and memory grow to data of a million users, a million items and a hundred million interactions.

    python benchmarks/millions.py [--to 100000000] [--threads 1]

Interactions are multiplied by about five from size to size, users and items are a hundredth of them. Measured are, each
in a process of its own: generating `Synthetic`, with its split, and caching it; preparing the same rows from a parquet
file; loading that from the cache; building the sampler of negatives; drawing an epoch (shuffled, with one negative
each, in batches of 8,192); and 200 training steps of BPR-MF with lazy_adam in a run of its own. Time is processor time.
Memory is what the process itself holds at its peak ("anonymous" pages): pages of mapped files, which the system drops
when it needs memory, do not count. Exponents are fitted to all sizes: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from _common import (
    cpu_seconds,
    json_of,
    machine,
    python,
    record,
    resident_mb,
    run_child,
    slope,
    table,
    take_steps,
    trained_by,
)

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `recrun` does, before torch is imported

SIZES: Final = (1_000_000, 4_600_000, 21_500_000, 100_000_000)
PHASES: Final = ("generate", "prepare", "load", "sampler", "draw", "train")
PER_USER: Final = 100
BATCH, STEPS = 8192, 200
MOST_GB: Final = 4.0


@contextmanager
def measured(results: dict[str, Any], phase: str) -> Iterator[None]:
    """Note the processor time of a block, and the most memory that the process itself holds meanwhile."""
    peaks, ended = [resident_mb("RssAnon")], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peaks.append(resident_mb("RssAnon"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, wall = cpu_seconds(), time.perf_counter()
    try:
        yield
    finally:
        seconds, wall = cpu_seconds() - start, time.perf_counter() - wall
        ended.set()
        watcher.join()
        known = [peak for peak in peaks if peak is not None]
        results[phase] = {"seconds": seconds, "wall": wall, "mb": max(known) if known else None}


def sizes_of(n_interactions: int) -> dict[str, int]:
    """Return the settings of `Synthetic` that make so many interactions."""
    n = n_interactions // PER_USER
    return {"n_users": n, "n_items": n, "n_interactions": n_interactions}


def generate(n_interactions: int, folder: str) -> dict[str, Any]:
    """Measure `Synthetic`, and write its rows as parquet, in pieces."""
    import polars as pl

    from recrun.data.datasets import Synthetic

    results: dict[str, Any] = {}
    with measured(results, "generate"):
        data = Synthetic(**sizes_of(n_interactions))
    parts = Path(folder) / "rows"
    parts.mkdir()
    number = 0
    for part in ("train", "valid", "test"):
        rows = data.interactions(part)
        for start in range(0, len(rows), 1 << 22):
            at = slice(start, start + (1 << 22))
            columns = {"user": rows.users[at], "item": rows.items[at], "timestamp": rows.columns["timestamp"][at]}
            pl.DataFrame(columns).write_parquet(parts / f"{number:04}.parquet")
            number += 1
    pl.scan_parquet(parts / "*.parquet").sink_parquet(Path(folder) / "rows.parquet")
    return results


def prepare(n_interactions: int, folder: str) -> dict[str, Any]:
    """Measure reading and splitting the parquet file."""
    return _load("prepare", folder)


def load(n_interactions: int, folder: str) -> dict[str, Any]:
    """Measure loading what was prepared."""
    return _load("load", folder)


def _load(phase: str, folder: str) -> dict[str, Any]:
    from recrun.data.datasets import File

    results: dict[str, Any] = {}
    with measured(results, phase):
        File(folder, path="rows.parquet")
    return results


def draw(n_interactions: int, folder: str) -> dict[str, Any]:
    """Measure building the sampler, and drawing an epoch, the faster of two."""
    import torch  # noqa: F401 - so that its import is not measured

    from recrun.data.datasets import File

    results: dict[str, Any] = {}
    data = File(folder, path="rows.parquet")
    with measured(results, "sampler"):
        pipe = data.shuffle_().negatives_for_train_().tensor_().split_(BATCH)
    epochs: list[dict[str, Any]] = [{}, {}]
    for epoch, drawn in enumerate(epochs):
        with measured(drawn, "draw"):
            n_rows = sum(len(batch["user"]) for batch in pipe.iterate("train", seed=1, epoch=epoch))
        assert n_rows == len(data.interactions("train"))
    return results | min(epochs, key=lambda drawn: drawn["draw"]["seconds"])


def train(n_interactions: int, folder: str) -> dict[str, Any]:
    """Measure building a run and its first steps, the drawing of its first epoch included."""
    results: dict[str, Any] = {}
    settings = ["dataset=File", f"root={folder}", "path=rows.parquet", f"batch_size={BATCH}", "weight_decay=0"]
    with measured(results, "train"), trained_by([*settings, "optimizer=lazy_adam"]) as coach:
        take_steps(coach, islice(coach.dataset.iterate("train", seed=1, epoch=0), STEPS))
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=int, default=SIZES[-1], help="the largest number of interactions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        task, n_interactions, folder = options.measure
        tasks = {each.__name__: each for each in (generate, prepare, load, draw, train)}
        print(json.dumps(tasks[task](int(n_interactions), folder)))
        return
    print(machine(options.threads))
    sizes = [size for size in SIZES if size <= options.to] or [options.to]
    found: list[dict[str, Any]] = []
    for size in sizes:
        results: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            for task in (generate, prepare, load, draw, train):
                command = python(__file__, "--measure", task.__name__, str(size), folder)
                environment = {"RECRUN_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": str(options.threads)}
                results |= json_of(run_child(command, **environment).output)
        found.append(results)
        print(f"{size:,} interactions: {results['draw']['seconds']:.3g} s to draw an epoch", flush=True)
    for title, key in (("processor seconds", "seconds"), ("peak MB of the process", "mb")):
        rows: list[list[Any]] = [
            [f"{size:,}", *(result[phase][key] for phase in PHASES)] for size, result in zip(sizes, found, strict=True)
        ]
        if len(sizes) > 1 and key == "seconds":
            rows.append(["exponent", *(slope(sizes, [result[phase][key] for result in found]) for phase in PHASES)])
        print(f"\n{title}")
        table(["interactions", *PHASES], rows)
    if len(sizes) > 1:
        exponent = slope(sizes, [result["draw"]["seconds"] for result in found])
        record("growth of drawing an epoch", exponent, "exponent 1.0 +- 0.05", abs(exponent - 1) <= 0.05, "")
    peaks = [result[phase]["mb"] for result in found for phase in PHASES]
    if None not in peaks:
        most = max(peaks) / 1e3
        record(f"memory at {sizes[-1]:,} interactions", most, f"{MOST_GB:g} GB", most < MOST_GB, "GB")


if __name__ == "__main__":
    main()
