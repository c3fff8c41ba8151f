"""Measure the time and memory to load data, from text and from the cache.

    python benchmarks/loading.py [--runs 5] [--large]

Gowalla's text files (and again from the cache), a csv file of ml-1m's size, and with `--large` a csv and a parquet file
of 20 million rows. Each run is a separate process; the time is that of the data set's constructor with all parts read,
without imports. Memory is the process's peak above the level before, also relative to the size of the text (for
parquet: of the same rows as csv). Files are in the system's page cache.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import Peak, cpu_seconds, data_root, json_of, machine, median, python, record, run_child, table

ML_1M = (6_040, 3_706, 1_000_209)
LARGE = (138_493, 27_278, 20_000_000)
LIMITS = {"Gowalla, text": 1.0, "Gowalla, cache": 0.1, "ml-1m-sized csv": 1.0, "20M csv": 30.0, "20M parquet": 30.0}


def write_rows(folder: Path, n_users: int, n_items: int, n_rows: int, suffixes: list[str]) -> int:
    """Write synthetic ratings to `rows.csv`, or parquet too; return the size of the csv file in bytes."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    popularity = 1.0 / np.arange(10, n_items + 10) ** 0.8
    items = np.searchsorted(np.cumsum(popularity / popularity.sum()), rng.random(n_rows)).clip(max=n_items - 1)
    frame = pl.DataFrame(
        {
            "user": np.sort(rng.integers(1, n_users + 1, n_rows)),
            "item": rng.permutation(n_items)[items] + 1,
            "rating": rng.integers(1, 11, n_rows) / 2,
            "timestamp": rng.integers(1_000_000_000, 1_500_000_000, n_rows),
        }
    )
    frame.write_csv(folder / "rows.csv")
    size = (folder / "rows.csv").stat().st_size
    if "parquet" in suffixes:
        frame.write_parquet(folder / "rows.parquet")
    if "csv" not in suffixes:
        (folder / "rows.csv").unlink()
    return size


def load(name: str, root: str, settings: dict[str, Any]) -> None:
    """Load a data set in this process, and print the seconds and the peak of memory as JSON."""
    from recrun.data.postprocessing.base import MODES
    from recrun.registry import DATASETS

    data_set = DATASETS.get(name)
    import polars  # noqa: F401 - imported when the first file is read; not what is measured

    peak, start, cpu = Peak(), time.perf_counter(), cpu_seconds()
    data = data_set(root, **settings)
    n_rows = sum(len(data.interactions(mode)) for mode in MODES)
    data.training_data()
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak.mb(), "rows": n_rows}))


def measure(cache: str, name: str, root: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Load a data set in a process of its own."""
    command = python(__file__, "--load", json.dumps([name, root, settings]))
    document: dict[str, Any] = json_of(run_child(command, RECRUN_CACHE=cache).output)
    return document


def text_bytes(folder: Path) -> int:
    """Return the bytes of Gowalla's two files, decompressed."""
    import gzip

    return sum(len(gzip.decompress((folder / f"{part}.txt.gz").read_bytes())) for part in ("train", "test"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--large", action="store_true", help="20 million rows as well: some minutes, and 4 GB of memory"
    )
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(*json.loads(options.load))
        return
    print(machine())
    results: dict[str, tuple[list[dict[str, Any]], int]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if (data_root() / "gowalla" / "train.txt.gz").exists():
            size, arguments = text_bytes(data_root() / "gowalla"), ("Gowalla_m1", str(data_root()), {})
            caches = [str(folder / f"cache{number}") for number in range(options.runs)]
            results["Gowalla, text"] = [measure(cache, *arguments) for cache in caches], size
            results["Gowalla, cache"] = [measure(caches[0], *arguments) for _ in caches], size
        else:
            print(f"no Gowalla in {data_root()}")
        sizes = [("ml-1m-sized csv", ML_1M, ["csv"], options.runs)]
        if options.large:
            sizes.append(("20M", LARGE, ["csv", "parquet"], 1))
        for title, counts, suffixes, runs in sizes:
            size = write_rows(folder, *counts, suffixes)
            for suffix in suffixes:
                wanted = ("File", str(folder), {"path": f"rows.{suffix}"})
                name = title if len(suffixes) == 1 else f"{title} {suffix}"
                results[name] = [measure(str(folder / f"{name}{number}"), *wanted) for number in range(runs)], size
    rows = []
    for name, (runs_of, size) in results.items():
        seconds = median(run["seconds"] for run in runs_of)
        peaks = [run["peak_mb"] for run in runs_of if run["peak_mb"] is not None]
        peak = median(peaks) if peaks else None
        times = None if peak is None else peak * 2**20 / size
        best, cpu = min(run["seconds"] for run in runs_of), median(run["cpu"] for run in runs_of)
        rows.append([name, runs_of[0]["rows"], size / 2**20, seconds, best, cpu, peak, times])
        record(f"load {name}", seconds, f"<= {LIMITS[name]:g} s", seconds <= LIMITS[name])
        if times is not None and "cache" not in name:
            record(f"memory of loading {name}", times, "< 10 x the file", times < 10, "x")
    table(["data", "rows", "text MB", "median s", "best s", "cpu s", "peak MB", "x text"], rows)


if __name__ == "__main__":
    main()
