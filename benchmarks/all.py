"""Run every benchmark, and print one table of the targets at the end.

    python benchmarks/all.py [--only epoch startup] [--small] [--peers FOLDER]

The scripts run in separate processes, one after another. Other libraries are measured only with `--peers`: they are
installed into environments in that folder (see `benchmarks/peers/run.py`). If a script fails, the others still run, and
the exit code is 1. `--small` measures less and fewer times, to check that everything runs; its figures are rough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import RECORD, machine, table

FOLDER = Path(__file__).resolve().parent
SCRIPTS = (
    "startup",
    "loading",
    "sampling",
    "training",
    "epoch",
    "optimizers",
    "contention",
    "negatives",
    "evaluation",
    "large_evaluation",
    "ranking_memory",
    "recommend",
    "warm_start",
    "job",
    "estimates",
    "growth",
    "millions",
    "catalogues",
    "many_epochs",
    "list_runs",
    "compare_runs",
    "calibration",
    "racing",
    "pruning",
    "report_cost",
    "search",
    "sweep_overhead",
    "pausing",
    "processes",
    "sharded",
    "gpu",
    "serving",
)
SMALL = {
    "startup": "--runs 1",
    "loading": "--runs 1",
    "sampling": "--runs 1",
    "training": "--steps 20 --rounds 1 --threads 1",
    "epoch": "--rounds 1 --threads 1",
    "optimizers": "--rows 20000 --batches 512 --steps 3",
    "contention": "--epochs 1 --rounds 1",
    "negatives": "--rounds 1",
    "evaluation": "--runs 1 --threads 1",
    "large_evaluation": "--items 13 --users 13 --sample 500 --measured 500 --indexes ivf:8 --threads 1",
    "ranking_memory": "--users 20000 --items 20000 --sample 1024 --runs 1 --threads 1",
    "recommend": "--runs 1",
    "job": "--epochs 1 --threads 1",
    "estimates": "--repeats 1 --epochs 1 --only synthetic/bprmf ease",
    "growth": "--to 15 --threads 1",
    "millions": "--to 200000",
    "catalogues": "--to 15 --users 11 --steps 4 --threads 1 --only bprmf/shared sasrec/uniform bprmf/adam",
    "many_epochs": "--epochs 2200",
    "sharded": "--users 12 --items 11 --interactions 14 --processes 1 2",
    "list_runs": "--runs 200 --repeats 1",
    "compare_runs": "--users 2000 --repeats 1",
    "calibration": "--nulls 200 --seeds 3",
    "racing": "--races 50",
    "pruning": "--epochs 9 --orders 5",
    "report_cost": "--epochs 100 --rounds 1",
    "search": "--studies 2 --trials 15",
    "sweep_overhead": "--trials 2 --rounds 1",
    "pausing": "--rounds 1 --epochs 3",
    "gpu": "--device cpu --small",
    "processes": "--config synthetic/bprmf --rounds 1 --epochs 1",
    "serving": "--seconds 1 --rounds 1",
}
"""The arguments of each script with `--small`."""


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="NAME", help=", ".join(SCRIPTS))
    parser.add_argument("--small", action="store_true", help="measure little, to check that everything runs")
    parser.add_argument("--peers", metavar="FOLDER", help="measure other libraries too, installed into this folder")
    options = parser.parse_args()
    commands = [[str(FOLDER / f"{name}.py"), *(SMALL[name].split() if options.small else [])] for name in options.only]
    if options.peers:
        commands += [[str(FOLDER / "peers" / name), "--venvs", options.peers] for name in ("run.py", "closed_form.py")]
    failed = []
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "targets.jsonl"
        environment = {"GOMP_SPINCOUNT": "1000", **os.environ, RECORD: str(file)}  # as `recrun` sets it
        for command in commands:
            name = Path(command[0]).name
            print(f"\n== {name}", flush=True)
            start = time.perf_counter()
            ended = subprocess.run([sys.executable, *command], env=environment, check=False)
            print(f"({name}: {time.perf_counter() - start:.0f} s)", flush=True)
            if ended.returncode:
                failed.append(name)
        entries = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    print(f"\n== targets; {machine()}")
    table(
        ["target", "measured", "wanted", "met", "load", "script"],
        [
            [*(str(entry[key]) for key in ("target", "measured", "wanted", "met", "load", "script"))]
            for entry in entries
        ],
    )
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
