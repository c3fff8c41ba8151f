"""Time `recrun list runs` on thousands of run folders, as whole processes.

    python benchmarks/list_runs.py [--runs 5000] [--repeats 3] [--paused]

The folders hold what a finished run of bprmf holds, without checkpoints of any size. Shown are medians of the wall time
of child processes that print the table, the same as JSON, and the runs that meet a condition. With --paused, all runs
are trials of one sweep that have paused, of which it has pruned every second.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from _common import machine, median, record, recrun, run_child, table

from recrun.config.resolve import resolve
from recrun.runs.folder import RunFolder

LIMIT = 0.2
"""Seconds for a thousand runs, with the start of the process."""


def make_runs(root: Path, count: int) -> None:
    """Make run folders that differ in their name only."""
    settings = dict(resolve("bprmf").config)
    first = RunFolder.create(root, {**settings, "id": "00000"})
    values = {f"{name}@{cutoff}": 0.1 / cutoff for name in ("recall", "ndcg", "hr", "mrr") for cutoff in (5, 10, 20)}
    environment = {"argv": ["recrun", "train", "bprmf"], "versions": dict.fromkeys(map(str, range(8)), "1.0.0")}
    ledger = [{"at": "2026-01-01T00:00:00+00:00", "by": "train", "checkpoint": "best", "metrics": values}]
    started = "2026-01-01T00:00:00+00:00"
    first.update_run(
        status="done", started=started, which4best="ndcg@20", hardware=environment, test_evaluations=ledger
    )
    first.write_json(first.metrics_file, {"best_epoch": 7, "valid": values, "test": values, "status": "done"})
    first.log_file.write_text("start\n", encoding="utf-8")
    first.metrics_lines_file.write_text("", encoding="utf-8")
    for which in ("last", "best"):
        first.checkpoint_file(which).write_bytes(b"")
    (first.summary_folder / "SUMMARY.md").write_text("# Summary\n", encoding="utf-8")
    for number in range(1, count):
        shutil.copytree(first.path, first.path.with_name(f"{number:05}"))


def make_paused(root: Path, count: int) -> None:
    """Make the run folders of a sweep's trials, all of which have paused, and the sweep's record of them."""
    make_runs(root, 1)
    (first,) = (path.parent for path in root.glob("*/*/*/run.json"))
    run = RunFolder(first)
    run.update_run(status="interrupted", paused={"epoch": 2, "until": 2})
    run.metrics_file.unlink()
    trials = []
    for number in range(count):
        folder = first.with_name(f"0123456789-{number}")
        shutil.copytree(first, folder)
        trials.append({"overrides": {"lr": number}, "status": ("paused", "pruned")[number % 2], "run": str(folder)})
    shutil.rmtree(first)
    sweep = root / "sweeps" / "bprmf-0123456789"
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"schema": 1, "trials": trials}, indent=2), encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--paused", action="store_true", help="runs of a sweep that have paused")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        (make_paused if options.paused else make_runs)(Path(temporary), options.runs)
        commands = {
            "recrun list runs": recrun("list", "runs", "--runs", temporary),
            "recrun list runs --json": recrun("list", "runs", "--runs", temporary, "--json"),
            "recrun list runs lr=1": recrun("list", "runs", "lr=1", "--runs", temporary),
        }
        seconds = {
            name: [run_child(command).seconds for _ in range(options.repeats)] for name, command in commands.items()
        }
    print(f"{options.runs:,} runs; {options.repeats} processes each; {machine()}")
    table(["command", "median s", "best s"], [[name, median(taken), min(taken)] for name, taken in seconds.items()])
    wanted = LIMIT * options.runs / 1000
    taken = median(seconds["recrun list runs"])
    record(f"list {options.runs:,} {'paused ' if options.paused else ''}runs", taken, f"<= {wanted} s", taken <= wanted)


if __name__ == "__main__":
    main()
