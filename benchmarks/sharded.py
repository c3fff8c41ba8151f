"""Measure what each process holds when several divide the tables of a model, and what an epoch takes then.

    python benchmarks/sharded.py [--users 20] [--items 19] [--interactions 21] [--processes 1 2 4] [--whole] [KEY=VALUE]

Sizes are powers of two. A run of `bprmf` with `lazy_adam` on generated data is trained for an epoch by each number of
processes, of one thread each: tables and optimizer state are most of its memory. Read while they train, from /proc: the
memory of the largest process that is its own (not pages of files), at the median, and the most at any time, which is
when the model is built. `--whole` measures several processes that each have whole tables, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import machine, median, recrun, table


def own_memory(processes: Sequence[int]) -> list[int]:
    """Return the bytes of memory that are each process's own, of those that still run."""
    found = []
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:")]
    return found


def descendants(process: int) -> list[int]:
    """Return a process and all that it has started, also through others."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8").split()
    except OSError:
        return []
    return [process, *(each for child in children for each in descendants(int(child)))]


def train(settings: Sequence[str], n: int, *, divided: bool) -> dict[str, Any]:
    """Return the memory of a run's processes and the lines of its history."""
    flags = ["--processes", str(n), *(["--shard-embeddings"] if divided else [])] if n > 1 else []
    while_training: list[float] = []
    most = together = 0.0
    with tempfile.TemporaryDirectory() as runs:
        command = recrun("train", "bprmf", *settings, "--no-plots", *flags, "--runs", runs)
        started = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
        while started.poll() is None:
            time.sleep(0.05)
            found = own_memory(descendants(started.pid)) or [0]
            most, together = max(most, *found), max(together, sum(found))
            if len(_history(Path(runs))) == 1:
                while_training.append(max(found))
        if started.returncode:
            sys.exit((started.stderr.read() if started.stderr else b"").decode())
        history = _history(Path(runs))
    return {"training": median(while_training), "most": most, "together": together, "history": history}


def _history(runs: Path) -> list[dict[str, Any]]:
    """Return what a run has measured; the first line is of the untrained model."""
    return [
        json.loads(line)
        for file in runs.glob("*/*/2*/metrics.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--items", type=int, default=19)
    parser.add_argument("--interactions", type=int, default=21)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    sizes = {"n_users": arguments.users, "n_items": arguments.items, "n_interactions": arguments.interactions}
    settings = [
        *(f"{name}={1 << power}" for name, power in sizes.items()),
        *("optimizer=lazy_adam", "epochs=1", "batch_size=4096", "threads=1", "device=cpu", "verbose=0"),
        *("eval_users=1000", "monitors=[ndcg@20]", "which4best=ndcg@20", "eval_test=false", "per_user=false"),
        *arguments.overrides,
    ]
    print(machine(1))
    head = ["processes", "tables", "each while training", "one at most", "all at most", "an epoch", "an evaluation"]
    head += ["loss", "ndcg@20"]
    rows = []
    for n in arguments.processes:
        for divided in (False, True) if n > 1 and arguments.whole else (n > 1,):
            found = train(settings, n, divided=divided)
            lines = found["history"]
            seconds = {line["split"]: line["seconds"] for line in lines}
            values = {name: value for line in lines for name, value in line["values"].items()}
            memory = [f"{found[name] / 1e6:,.0f} MB" for name in ("training", "most", "together")]
            times = [f"{seconds[split]:.1f} s" for split in ("train", "valid")]
            rows.append(
                [n, "divided" if divided else "whole", *memory, *times, f"{values['loss']:.7f}", values["ndcg@20"]]
            )
            print(rows[-1], file=sys.stderr)
    table(head, rows)


if __name__ == "__main__":
    main()
