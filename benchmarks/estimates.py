"""Compare what `recrun train --dry-run` estimates with what the run then takes: time, memory and disk.

    python benchmarks/estimates.py [--repeats 3] [--epochs 3] [--threads 1] [--only gowalla/bprmf ease]

Estimates and runs take turns, since the speed of a machine changes; the medians are compared. A ratio is the estimate
over what was measured. All times are processor times, which say more on a machine that others use too; with one thread
and nobody else, they are the wall times. `--wall` compares wall times. The last column is the processor time of runs
over their wall time: far below the number of threads, others used the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from _common import data_root, json_of, machine, median, record, recrun, run_child, table

CASES: Final = {
    "gowalla/bprmf": "gowalla/bprmf",
    "gowalla/lightgcn": "gowalla/lightgcn",
    "beauty/sasrec": "beauty/sasrec",
    "deepfm": "synthetic/deepfm n_rows=400000 n_users=20000 n_items=5000",
    "ease": "ease dataset=MovieLens1M",
    "itemknn": "gowalla/itemknn",
}
"""Configs of different kinds, with settings."""
WITHIN: Final = 0.25
"""How far an estimate may be from what is measured."""
_BY_PROCESSOR: Final = "import time; time.perf_counter = time.process_time; from recrun.cli.main import main; main()"
"""A command line of recrun that measures everything in processor time."""
_SMALL: Final = "synthetic/bprmf"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[*CASES, _SMALL], default=list(CASES))
    options = parser.parse_args()
    rows, worst = [], 0.0
    print(machine(options.threads))
    for name in options.only:
        arguments = CASES.get(name, name).split()
        is_closed = name in ("ease", "itemknn")
        arguments += [f"threads={options.threads}", *([] if is_closed else [f"epochs={options.epochs}"])]
        arguments += [] if name in ("deepfm", _SMALL) else [f"root={data_root()}"]
        pairs = [
            (estimated(arguments, options.wall), measured(arguments, options.wall)) for _ in range(options.repeats)
        ]
        row: list[Any] = [name]
        for key in ("epoch", "evaluation", "total", "memory", "disk"):
            before, after = (median([pair[side][key] for pair in pairs]) for side in (0, 1))
            row += [before, after, before / after]
            if key != "total":
                worst = max(worst, abs(before / after - 1))
        rows.append([*row, median([pair[1]["share"] for pair in pairs])])
        print(f"{name}: {json.dumps(pairs)}", flush=True)
    groups = ("epoch or fit s", "evaluation s", "whole s", "memory MB", "disk MB")
    table(["config", *(part for group in groups for part in (group, "true", "ratio")), "processor / wall"], rows)
    record("estimates of a dry run, largest error of a part", 100 * worst, "<= 25 %", worst <= WITHIN, "%")


def command(wall: bool, *arguments: str) -> list[str]:
    """Return the command that runs recrun, with wall or processor times."""
    return recrun(*arguments) if wall else [sys.executable, "-c", _BY_PROCESSOR, *arguments]


def estimated(arguments: list[str], wall: bool) -> dict[str, float]:
    """Return what a dry run estimates."""
    found = json_of(run_child(command(wall, "train", *arguments, "--dry-run", "--json", "--quiet")).output)["estimate"]
    seconds = found["seconds"]
    return {
        "epoch": seconds["fit"] if "fit" in seconds else seconds["epoch"],
        "evaluation": seconds["evaluation"],
        "total": seconds["total"],
        "memory": found["memory_bytes"]["peak"] / 2**20,
        "disk": found["disk_bytes"]["run"] / 2**20,
    }


def measured(arguments: list[str], wall: bool) -> dict[str, float]:
    """Return what a run takes."""
    with tempfile.TemporaryDirectory() as runs:
        ended = run_child(command(wall, "train", *arguments, "--json", "--quiet", "--runs", runs))
        run = Path(json_of(ended.output)["run"])
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        size = sum(file.stat().st_size for file in run.rglob("*") if file.is_file())
    splits = [line["split"] for line in lines]
    evaluated = "valid" if "valid" in splits else "test"
    return {
        "epoch": median([line["seconds"] for line in lines if line["split"] == "train"]),
        "evaluation": median([line["seconds"] for line in lines if line["split"] == evaluated]),
        "total": ended.seconds if wall else ended.cpu,
        "memory": ended.peak_mb,
        "disk": size / 2**20,
        "share": ended.cpu / ended.seconds,
    }


if __name__ == "__main__":
    main()
