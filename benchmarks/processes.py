"""Measure what several processes make of a run: seconds of an epoch and an evaluation, and how far the numbers differ.

    python benchmarks/processes.py [--config gowalla/bprmf] [--processes 2] [--rounds 3] [--epochs 2] [KEY=VALUE ...]

The run is trained in turns by one process with one thread, by one with as many threads as there are processes, and by
the processes with one thread each. Ratios are to one process with one thread: 2 means half the time. The times are
those of the first epoch after the start, which are the same work in each. Losses differ by rounding; metrics must not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import data_root, machine, median, recrun, run_child, table


def train(runs: Path, processes: int, threads: int, given: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines of the history of a run."""
    count = ["--processes", str(processes)] if processes > 1 else []
    settings = [f"threads={threads}", "device=cpu", "verbose=0", "eval_test=false", "early_stop_patience=null"]
    run_child(recrun("train", *given, *settings, *count, "--no-plots", "--runs", str(runs)))
    (file,) = runs.glob("*/*/2*/metrics.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def seconds(history: Sequence[dict[str, Any]], split: str) -> float:
    """Return the seconds of the last epoch, or of the last evaluation."""
    return [float(line["seconds"]) for line in history if line["split"] == split][-1]


def difference(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], *, losses: bool) -> float:
    """Return the largest relative difference of the losses, or of the metrics, of two histories."""
    pairs = [
        (value, second["values"][name])
        for first, second in zip(one, other, strict=True)
        for name, value in first["values"].items()
        if (name == "loss") == losses and value is not None
    ]
    return max(abs(ours - theirs) / max(abs(theirs), 1e-12) for theirs, ours in pairs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="gowalla/bprmf")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    n = arguments.processes
    given = [arguments.config, f"root={data_root()}", f"epochs={arguments.epochs}", *arguments.overrides]
    print(machine())
    ways = {
        "1 process, 1 thread": (1, 1),
        f"1 process, {n} threads": (1, n),
        f"{n} processes, 1 thread each": (n, 1),
    }
    found: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in ways}
    for number in range(arguments.rounds):
        for name, (processes, threads) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(train(Path(folder), processes, threads, given))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
    head = ["", "an epoch", "ratio", "an evaluation", "ratio", "losses differ by", "metrics differ by"]
    rows = []
    base = next(iter(found.values()))
    for name, histories in found.items():
        row: list[str] = [name]
        for split in ("train", "valid"):
            ours, theirs = (median([seconds(each, split) for each in some]) for some in (histories, base))
            row += [f"{ours:.2f} s", f"{theirs / ours:.2f}"]
        row += [f"{difference(base[0], histories[0], losses=losses):.1e}" for losses in (True, False)]
        rows.append(row)
    table(head, rows)


if __name__ == "__main__":
    main()
