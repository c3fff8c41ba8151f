"""Measure what the report at the end of a run costs: SUMMARY.md and the plots, for runs of any length.

    python benchmarks/report_cost.py [--epochs 100 100000] [--monitors 8] [--rounds 5]

Each time is that of a new process that has imported torch, as a run has, and then writes the summary of a made-up run:
with plots, without them, and with plots when matplotlib is already imported. Processor time is given beside wall time,
because others may use the machine. Memory is what the summary adds at its peak.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from _common import Peak, cpu_seconds, json_of, machine, median, python, record, run_child, seconds_of, table

WANTED = 0.5


def write_run(folder: Path, epochs: int, monitors: list[str]) -> None:
    """Write the metrics.jsonl of a made-up run."""
    with open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
        for epoch in range(epochs + 1):
            rest = {"seconds": 1.0, "best": False}
            growth = 1 - math.exp(-8 * epoch / epochs)
            if epoch:
                line = {"epoch": epoch, "split": "train", "values": {"loss": 1 - 0.9 * growth}, **rest}
                file.write(json.dumps(line) + "\n")
            values = {name: growth / (3 + place) for place, name in enumerate(monitors)}
            file.write(json.dumps({"epoch": epoch, "split": "valid", "values": values, **rest}) + "\n")


def measure(folder: Path, monitors: list[str], plots: bool) -> None:
    """Write the summary twice, and print what each took; the first time includes importing matplotlib."""
    import torch  # noqa: F401

    from recrun.report.files.summary import SummaryWriter
    from recrun.runs.folder import RunFolder

    config = {"description": "made up", "model": "bprmf", "dataset": "Synthetic", "plots": plots}
    result: dict[str, Any] = {"run": str(folder), "best_epoch": 10, "which4best": monitors[-1]}
    writer = SummaryWriter(RunFolder(folder), config)
    found: dict[str, float | None] = {}
    for name in ("first", "second"):
        peak, before = Peak(), cpu_seconds()
        found[f"{name} wall"] = seconds_of(lambda: writer.finish(result))
        found[f"{name} cpu"] = cpu_seconds() - before
        found[f"{name} mb"] = peak.mb()
    print(json.dumps(found))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[100, 100_000])
    parser.add_argument("--monitors", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    monitors = [f"recall@{place + 1}" for place in range(options.monitors)]
    if options.child:
        measure(Path(options.child[0]), monitors, options.child[1] == "plots")
        return
    rows = []
    for epochs in options.epochs:
        with tempfile.TemporaryDirectory() as temporary:
            write_run(Path(temporary), epochs, monitors)
            command = python(str(Path(sys.argv[0]).resolve()), f"--monitors={options.monitors}", "--child", temporary)
            results: dict[str, list[dict[str, Any]]] = {"plots": [], "none": []}
            for _ in range(options.rounds):
                for how, found in results.items():
                    found.append(json_of(run_child([*command, how]).output))
        median_of = {
            how: {key: median([each[key] or 0 for each in found]) for key in found[0]} for how, found in results.items()
        }
        drawn, bare = median_of["plots"], median_of["none"]
        plots = drawn["first cpu"] - bare["first cpu"]
        rows += [
            [f"{epochs:,} epochs, with plots", drawn["first wall"], drawn["first cpu"], drawn["first mb"]],
            [
                f"{epochs:,} epochs, matplotlib imported before",
                drawn["second wall"],
                drawn["second cpu"],
                drawn["second mb"],
            ],
            [f"{epochs:,} epochs, without plots", bare["first wall"], bare["first cpu"], bare["first mb"]],
        ]
        record(f"plots of {epochs:,} epochs, processor time", plots, f"<= {WANTED} s", plots <= WANTED)
    print(f"{options.monitors} monitors, {options.rounds} processes each; {machine()}")
    table(["summary of a run", "wall s", "cpu s", "MB"], rows)


if __name__ == "__main__":
    main()
