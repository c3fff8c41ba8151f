"""Measure how time and memory grow with the size of the data.

    python benchmarks/growth.py [--to 20] [--threads 2] [--cpu-time]

Users, items and interactions are doubled together from 2^14 to 2^20, on synthetic data with 8 interactions per user; a
second series doubles the interactions alone, with 2^14 users and items. Each size runs in its own process. Measured
are: making the data (`Synthetic`, with the split), loading the same rows from csv and again from the cache, drawing an
epoch (shuffling and negatives), an epoch of BPR-MF with lazy_adam, a step with dense Adam, and an evaluation of 2,048
users and of all of them. Peak memory is relative to the memory before. Exponents are of the last three doublings, so
that constant costs weigh less: 1 is linear.

Long tasks are measured in part: an epoch is the drawing of all its rows and the time of its first 500 steps, scaled to
all; all users are evaluated up to 2^15 users and items only, since users x items grows fourfold, and beyond that the
time per user and item, from 2,048 users, is given. A step of dense Adam moves every row of every table, so it is linear
in users + items whatever the batch; at the largest size it takes 1.5 GB in addition. `--cpu-time` measures processor
time instead of wall time, for a shared machine; use one thread then.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from _common import (
    Peak,
    cpu_seconds,
    json_of,
    machine,
    python,
    record,
    run_child,
    seconds_of,
    slope,
    table,
    take_steps,
    trained_by,
)

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `recrun` does, before torch is imported

FIRST, EACH, ALL_USERS_UP_TO, SOME_USERS, SOME_STEPS = 14, 8, 15, 2048, 500
PHASES = ("make", "csv", "cache", "draw", "epoch", "adam step", "evaluate 2048", "evaluate all")
SHARES = {"valid_ratio": 0.01, "test_ratio": 0.1}


def measure(
    n: int, n_interactions: int, threads: int, folder: str, in_cpu_time: bool = False
) -> dict[str, tuple[float, float | None]]:
    """Return seconds and peak memory in MB of every phase, at one size."""
    import numpy as np

    from recrun.data.datasets import File, Synthetic
    from recrun.evaluation.ranking import evaluate_ranking

    results: dict[str, tuple[float, float | None]] = {}
    timed = cpu_seconds_of if in_cpu_time else seconds_of

    def enter(phase: str, task: Callable[[], object], repeat: int = 1, share: float = 1) -> None:
        peak = Peak()
        results[phase] = min(timed(task) for _ in range(repeat)) / share, peak.mb()

    made: list[Any] = []
    sizes = {"n_users": n, "n_items": n, "n_interactions": n_interactions}
    enter("make", lambda: made.append(Synthetic(**sizes, **SHARES)))
    write_csv(made.pop(), f"{folder}/rows.csv")
    enter("csv", lambda: File(folder, path="rows.csv", **SHARES).training_data())
    enter("cache", lambda: File(folder, path="rows.csv", **SHARES).training_data(), repeat=3)
    data = ["dataset=File", f"root={folder}", "path=rows.csv", *(f"{name}={share}" for name, share in SHARES.items())]
    settings = [*data, f"threads={threads}", "weight_decay=0"]
    with trained_by([*settings, "optimizer=lazy_adam"]) as coach:
        enter("draw", lambda: sum(1 for _ in coach.dataset.iterate("train", seed=1, epoch=0)), repeat=2)
        batches = list(islice(coach.dataset.iterate("train", seed=1, epoch=0), SOME_STEPS))
        n_steps = len(coach.dataset.sizes("train"))
        take_steps(coach, batches[:5])
        enter("epoch", lambda: take_steps(coach, batches), share=len(batches) / n_steps)
        results["epoch"] = results["epoch"][0] + results["draw"][0], results["epoch"][1]
        base, model = coach.dataset.base, coach.model
        model.eval()
        relevant = base.csr("test")
        some = np.flatnonzero(relevant.lengths)[:SOME_USERS]

        def evaluate(rows: Any) -> None:
            evaluate_ranking(
                model,
                seen=base.seen("test"),
                relevant=rows,
                n_items=base.n_items,
                metrics=coach.settings.metrics,
                device="cpu",
            )

        base.seen("test")
        enter("evaluate 2048", lambda: evaluate(_only(relevant, some)), repeat=2 if n < 1 << 18 else 1)
        if n <= 1 << ALL_USERS_UP_TO:
            enter("evaluate all", lambda: evaluate(relevant))
    with trained_by([*settings, "optimizer=adam"]) as coach:
        enter("adam step", lambda: take_steps(coach, batches[:5]), repeat=3, share=5)
    return results


def cpu_seconds_of(task: Callable[[], object]) -> float:
    """Return the processor time of a task."""
    start = cpu_seconds()
    task()
    return cpu_seconds() - start


def write_csv(data: Any, path: str) -> None:
    """Write all interactions of a data set as csv."""
    import numpy as np
    import polars as pl

    parts = [data.interactions(part) for part in ("train", "valid", "test")]
    columns = {"user": [part.users for part in parts], "item": [part.items for part in parts]}
    columns["timestamp"] = [part.columns["timestamp"] for part in parts]
    pl.DataFrame({name: np.concatenate(arrays) for name, arrays in columns.items()}).write_csv(path)


def _only(rows: Any, users: Any) -> Any:
    """Return the rows of some users, with all other rows empty."""
    import numpy as np

    from recrun.data.interactions import CSR

    indptr, items = rows.rows(users)
    return CSR.from_pairs(np.repeat(users, np.diff(indptr)), items, rows.n_rows)


def show(title: str, sizes: list[int], results: list[dict[str, Any]], names: list[str]) -> dict[str, float]:
    """Print seconds and memory by size, and the exponents; return the exponents of time."""
    print(f"\n{title}")
    exponents: dict[str, float] = {}
    for column, what in ((0, "seconds"), (1, "peak MB")):
        rows: list[list[Any]] = [
            [name, *(result[phase][column] if phase in result else None for phase in PHASES)]
            for name, result in zip(names, results, strict=True)
        ]
        fitted: list[Any] = []
        for phase in PHASES:
            known = [
                (size, result[phase][column])
                for size, result in zip(sizes, results, strict=True)
                if phase in result and result[phase][column]
            ][-4:]
            fitted.append(slope(*zip(*known, strict=True)) if len(known) > 1 else None)
            if column == 0 and fitted[-1] is not None:
                exponents[phase] = fitted[-1]
        table([what, *PHASES], [*rows, ["exponent", *fitted]])
    return exponents


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=int, default=20, help="binary logarithm of the largest number of users and items")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    print(machine(options.threads))
    powers = range(FIRST, max(options.to, FIRST + 1) + 1)
    together = [(1 << power, EACH << power) for power in powers]
    alone = [(1 << FIRST, EACH << power) for power in powers]
    found: dict[tuple[int, int], dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for size in dict.fromkeys([*together, *alone]):
            with tempfile.TemporaryDirectory(dir=temporary) as folder:
                command = python(__file__, "--measure", json.dumps([*size, options.threads, folder, options.cpu_time]))
                found[size] = json_of(run_child(command, RECRUN_CACHE=str(Path(folder) / "cache")).output)
            print(
                f"{size[0]} users and items, {size[1]} interactions: {found[size]['epoch'][0]:.3g} s per epoch",
                flush=True,
            )
    titles = [f"2^{power}" for power in powers]
    all_grow = show(
        f"users = items = n, {EACH} n interactions",
        [n for n, _ in together],
        [found[size] for size in together],
        titles,
    )
    one_grows = show(
        f"2^{FIRST} users and items, {EACH} n interactions",
        [m for _, m in alone],
        [found[size] for size in alone],
        titles,
    )
    scores = [
        [title, found[size]["evaluate 2048"][0] / SOME_USERS / size[0] * 1e9]
        for title, size in zip(titles, together, strict=True)
    ]
    print(f"\nevaluation of {SOME_USERS} users, by the number of items")
    table(["items", "ns per user and item"], scores)
    for phase in ("make", "csv", "draw", "epoch"):
        record(f"growth with interactions: {phase}", one_grows[phase], "exponent <= 1.1", one_grows[phase] <= 1.1, "")
        record(f"growth with everything: {phase}", all_grow[phase], "exponent <= 1.2", all_grow[phase] <= 1.2, "")


if __name__ == "__main__":
    main()
