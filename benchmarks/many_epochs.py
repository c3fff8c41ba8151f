"""Measure what an epoch costs after many epochs, how memory grows, and how long a resume then takes.

    python benchmarks/many_epochs.py [--epochs 100000]

Trains bprmf on almost nothing (20 users, 20 items, one batch) with every reporter, an evaluation and a checkpoint for
each epoch, and compares the epochs of the first and the last thousand (those of the first hundred, which warm up,
are not counted). Then the run is given one more epoch in a new process, which reports the time from its
imports to the first training step.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import json_of, machine, median, python, record, resident_mb, run_child, table

TINY = ["n_users=20", "n_items=20", "n_interactions=150", "embedding_dim=4", "batch_size=512", "device=cpu"]
SETTINGS = [*TINY, "threads=1", "verbose=1", "early_stop_patience=null", "seed=1", "id=long", "description=many"]
WARM_UP, SPAN = 100, 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100_000)
    parser.add_argument("--in", dest="runs", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.runs is not None:
        print(json.dumps(measure(options.epochs, options.runs)))
        return
    if options.epochs < WARM_UP + 2 * SPAN:
        parser.error(f"--epochs must be at least {WARM_UP + 2 * SPAN:,}")
    with tempfile.TemporaryDirectory() as runs:
        first = json_of(run_child(python(__file__, "--epochs", str(options.epochs), "--in", runs)).output)
        again = json_of(run_child(python(__file__, "--epochs", str(options.epochs + 1), "--in", runs)).output)
        sizes = {file.name: file.stat().st_size for file in Path(runs).rglob("*") if file.is_file()}
    print(f"{options.epochs:,} epochs; {machine(1)}")
    rows = [
        ("milliseconds an epoch, of the first thousand", f"{first['early_ms']:.2f}"),
        ("milliseconds an epoch, of the last thousand", f"{first['late_ms']:.2f}"),
        ("ratio", f"{first['late_ms'] / first['early_ms']:.2f}"),
        ("resident MB after the first thousand", f"{first['early_mb']:.0f}"),
        ("resident MB before the end", f"{first['late_mb']:.0f}"),
        ("seconds of the report at the end", f"{first['report_s']:.2f}"),
        ("seconds of a resume, up to its first step", f"{again['resume_s']:.2f}"),
        ("MB of metrics.jsonl", f"{sizes['metrics.jsonl'] / 1e6:.1f}"),
        ("KB of the last checkpoint", f"{first['checkpoint'] / 1e3:.1f}"),
    ]
    table(("", ""), rows)
    ratio = first["late_ms"] / first["early_ms"]
    record(
        f"an epoch after {options.epochs:,}, against the first thousand", ratio, "<= 1.2 times", ratio <= 1.2, "times"
    )
    record(f"a resume after {options.epochs:,} epochs", again["resume_s"], "<= 2 s", again["resume_s"] <= 2)
    print(f"memory: {first['late_mb'] - first['early_mb']:+.1f} MB from the first thousand epochs to the last")


def measure(epochs: int, runs: str) -> dict[str, Any]:
    """Train, or continue, the run in a folder; return times and memory of its epochs."""
    from recrun.config.resolve import resolve
    from recrun.runs.folder import RunFolder
    from recrun.runs.resume import resolve_run
    from recrun.training.reporter import Reporter, make_reporters
    from recrun.workflows.build import prepare

    class Clock(Reporter):
        """Notes when each epoch ended, and the memory at some of them."""

        def __init__(self) -> None:
            self.times: list[float] = []
            self.memory: dict[int, float] = {}
            self.steps: list[float] = []

        def step(self, epoch: int, step: int, n_steps: int | None, loss: float | None = None) -> None:
            if not self.steps:
                self.steps.append(time.perf_counter())

        def trained(self, epoch: int, values: Any, seconds: float) -> None:
            if not self.steps:
                self.steps.append(time.perf_counter())
            self.times.append(time.perf_counter())
            if epoch in (SPAN, epochs - 1):
                self.memory[epoch] = resident_mb("VmRSS") or 0.0

    clock = Clock()
    folder = Path(runs) / "many" / "Synthetic" / "long"
    start = time.perf_counter()
    if folder.exists():
        run = RunFolder(folder)
        resolved = resolve_run(run, [f"epochs={epochs}"])
    else:
        run, resolved = None, resolve("bprmf", [*SETTINGS, f"epochs={epochs}"])
    coach = prepare(
        resolved,
        runs=runs,
        run=run,
        reporters=lambda run, since: [*make_reporters(run, coach.cfg, since), clock],
    )
    coach.fit()
    end = time.perf_counter()
    spans = [later - earlier for earlier, later in zip(clock.times, clock.times[1:], strict=False)]
    return {
        "early_ms": 1e3 * median(spans[WARM_UP:SPAN] or [0.0]),
        "late_ms": 1e3 * median(spans[-SPAN:] or [0.0]),
        "early_mb": clock.memory.get(SPAN, 0.0),
        "late_mb": clock.memory.get(epochs - 1, 0.0),
        "report_s": end - clock.times[-1],
        "resume_s": clock.steps[0] - start,
        "checkpoint": coach.run.checkpoint_file("last").stat().st_size,
    }


if __name__ == "__main__":
    main()
