"""Measure how the time of a training step grows with the number of items, for the softmax over sampled negatives.

    python benchmarks/catalogues.py [--to 20] [--users 18] [--steps 40] [--threads 2] [--cpu-time]
        [--only bprmf/shared ...]

The items are doubled from 2^14 to 2^20, with 2^18 users and 8 interactions of each (synthetic data). Every model is
trained with every kind of sampler that it takes, with `logq_correction` and `lazy_adam`; for comparison once with
`adam`, which moves every row of the table, and once with `cross_entropy` over all items. Measured are the drawing of a
batch, a step on it, and the peak of memory above what the data takes, which holds the tables and the optimizer's state.
Each size runs in its own process. A step of `lazy_adam` touches the rows of the batch alone: its exponent is 0 but for
the processor's cache, which small tables fit. Exponents are over all sizes. `--cpu-time` measures processor time, for a
shared machine; use one thread then.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from itertools import islice
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

from _common import (
    Peak,
    cpu_seconds,
    json_of,
    machine,
    median,
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

FIRST, EACH, UNTIL_ALL_ITEMS = 14, 8, 17
SAMPLED = ["loss=sampled_softmax", "logq_correction=true", "optimizer=lazy_adam"]
SAMPLERS = {
    "uniform": ["sampler=uniform", "n_negatives=16"],
    "popularity": ["sampler=popularity", "n_negatives=16"],
    "in_batch": ["sampler=in_batch", "n_negatives=16"],
    "mixed": ["sampler=mixed", "n_negatives=16"],
    "shared": ["sampler=shared", "n_negatives=512"],
    "batch": ["sampler=shared", "batch_positives=only"],
    "added": ["sampler=shared", "n_negatives=512", "batch_positives=added"],
}
HISTORIES = ["max_length=20", "batch_size=128"]
MODELS = {
    "bprmf": (["batch_size=1024"], tuple(SAMPLERS)),
    "youtubednn": (["batch_size=1024", "tower_layers=2"], tuple(SAMPLERS)),
    "sasrec": (HISTORIES, ("uniform", "popularity", "shared", "batch", "added")),
    "gru4rec": (HISTORIES, ("uniform", "popularity", "shared", "batch", "added")),
}
OTHERS = {
    "bprmf/adam": ["batch_size=1024", *SAMPLED[:2], *SAMPLERS["shared"], "optimizer=adam"],
    "bprmf/all items": ["batch_size=1024", "loss=cross_entropy", "optimizer=lazy_adam"],
}


def runs() -> dict[str, list[str]]:
    """Return the settings of what is measured, by name."""
    found = {}
    for model, (settings, samplers) in MODELS.items():
        for sampler in samplers:
            one_target = ["sequence_rows=prefixes"] if settings is HISTORIES and sampler in ("batch", "added") else []
            found[f"{model}/{sampler}"] = [f"model={model}", *settings, *SAMPLED, *SAMPLERS[sampler], *one_target]
    return found | {name: ["model=bprmf", *settings] for name, settings in OTHERS.items()}


def measure(
    power: int, users: int, steps: int, threads: int, names: Sequence[str], in_cpu_time: bool = False
) -> dict[str, list[float | None]]:
    """Return of each run the seconds to draw a batch and to do a step, and the peak memory in MB, at one size."""
    from recrun.data.datasets import Synthetic

    sizes = {"n_users": 1 << users, "n_items": 1 << power, "n_interactions": EACH << users}
    data = Synthetic(**sizes, split="leave_one_out")
    given = ["split=leave_one_out", *(f"{name}={size}" for name, size in sizes.items())]
    results: dict[str, list[float | None]] = {}
    for name in names:
        if "all items" in name and power > UNTIL_ALL_ITEMS:
            continue
        settings = [*given, f"threads={threads}", "weight_decay=0", *runs()[name]]
        receiver, sender = get_context("fork").Pipe(duplex=False)
        child = get_context("fork").Process(target=measure_run, args=(data, settings, steps, sender, in_cpu_time))
        child.start()
        sender.close()
        results[name] = receiver.recv()
        child.join()
    return results


def measure_run(data: Any, settings: Sequence[str], steps: int, sender: Any, in_cpu_time: bool) -> None:
    """Send the measurements of one run, in a process that has the data already, and no memory of other runs."""
    from recrun.workflows import build

    timed = cpu_seconds_of if in_cpu_time else seconds_of
    peak = Peak()
    with patch.object(build, "build_data", lambda _: data), trained_by(settings) as coach:
        batches: list[Any] = []
        pipe = coach.dataset.iterate("train", seed=1, epoch=0)
        drawn = timed(lambda: batches.extend(islice(pipe, steps)))
        coach.model.train()
        times = [timed(lambda batch=batch: take_steps(coach, [batch])) for batch in [*batches[:4], *batches]]
        sender.send([drawn / len(batches), median(times[4:]), peak.mb()])


def cpu_seconds_of(task: Callable[[], object]) -> float:
    """Return the processor time of a task."""
    start = cpu_seconds()
    task()
    return cpu_seconds() - start


def show(powers: Sequence[int], found: dict[int, dict[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Print milliseconds and memory by size, and the exponents of steps, which are returned."""
    exponents: dict[str, float] = {}
    for column, what, scale in ((0, "ms a batch drawn", 1e3), (1, "ms a step", 1e3), (2, "peak MB", 1)):
        rows = []
        for name in names:
            known = [(1 << power, found[power][name][column]) for power in powers if name in found[power]]
            known = [(size, value) for size, value in known if value]
            fitted = slope(*zip(*known, strict=True)) if len(known) > 1 else None
            if column == 1 and fitted is not None:
                exponents[name] = fitted
            rows.append([name, *(scale * value for _, value in known), *[None] * (len(powers) - len(known)), fitted])
        print(f"\n{what}")
        table(["run", *(f"2^{power}" for power in powers), "exponent"], rows)
    return exponents


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=int, default=20, help="binary logarithm of the largest number of items")
    parser.add_argument("--users", type=int, default=18, help="binary logarithm of the number of users")
    parser.add_argument("--every", type=int, default=2, help="doublings between two sizes")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="measure processor time, on a shared machine")
    parser.add_argument("--only", nargs="+", choices=runs(), default=list(runs()), metavar="RUN")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    print(machine(options.threads))
    powers = range(FIRST, max(options.to, FIRST + 1) + 1, options.every if options.to > FIRST + 1 else 1)
    found: dict[int, dict[str, Any]] = {}
    for power in powers:
        asked = json.dumps([power, options.users, options.steps, options.threads, options.only, options.cpu_time])
        found[power] = json_of(run_child(python(__file__, "--measure", asked)).output)
        print(f"2^{power} items are measured", flush=True)
    for name, exponent in show(powers, found, options.only).items():
        if name not in OTHERS:
            record(f"a step by the number of items: {name}", exponent, "exponent <= 0.25", exponent <= 0.25, "")


if __name__ == "__main__":
    main()
