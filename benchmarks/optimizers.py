"""Measure what a training step, a checkpoint and a resume take with large tables, by optimizer.

    python benchmarks/optimizers.py [--rows 1000000] [--batches 2048 8192] [--steps 20] [--threads 1]

Trains BPR-MF with vectors of 64 on synthetic data of as many users as items, each optimizer in a process of its own.
Printed are, by batch size, seconds and processor seconds of a step and how many times as fast as dense Adam's it is,
and the peak of resident memory above parameters and optimizer state: in steps with `clip_norm` and a check that all is
finite; while a checkpoint is written; and while a run is resumed from it. All of the state is touched once, so that it
is resident. A machine that reclaims pages makes these figures too low by some MB. In `copies` a peak is relative to
parameters and state.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from _common import (
    REPOSITORY,
    Peak,
    cpu_seconds,
    json_of,
    machine,
    median,
    python,
    record,
    run_child,
    seconds_of,
    table,
)

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `recrun` does, before torch is imported

FORMS = {
    "adam": ["optimizer=adam"],
    "lazy_adam": ["optimizer=lazy_adam"],
    "lazy_adam, bf16": ["optimizer=lazy_adam", "state_precision=bf16"],
    "lazy_adam, bf16, row": ["optimizer=lazy_adam", "state_precision=bf16", "second_moment=row"],
    "row_adagrad": ["optimizer=row_adagrad"],
}
MB = 1 << 20
COPIES_OF_A_BATCH = 12
"""How many times the memory of the three vectors of each row of a batch a step may take."""


def coach_of(form: str, n_rows: int, batch: int, n_steps: int, threads: int, runs: str, run: Any = None) -> Any:
    """Return a Coach on synthetic data, of a new run or of one to be resumed."""
    from recrun.config.resolve import resolve
    from recrun.workflows.build import prepare

    n_interactions = max(2 * n_rows, 2 * batch * (n_steps + 2))
    sizes = [f"n_users={n_rows}", f"n_items={n_rows}", f"n_interactions={n_interactions}"]
    options = [*FORMS[form], *sizes, f"batch_size={batch}", f"threads={threads}", "clip_norm=1", "verbose=0"]
    resolved = resolve(str(REPOSITORY / "configs" / "synthetic" / "bprmf.yaml"), [*options, "weight_decay=0"])
    return prepare(resolved, runs=runs, reporters=lambda folder, epoch: [], run=run)


def measure(form: str, n_rows: int, batch: int, n_steps: int, threads: int, folder: str) -> dict[str, float | None]:
    """Return seconds of a step, and megabytes of the state and of the peaks of a step and of writing a checkpoint."""
    coach = coach_of(form, n_rows, batch, n_steps, threads, folder)
    batches = list(islice(coach.dataset.iterate("train", seed=1, epoch=0), n_steps + 1))
    coach.model.train()
    peak = Peak()
    train(coach, batches[:1])
    for tensor in tensors_of(coach):
        tensor.add_(0)
    used, seconds = cpu_seconds(), []
    for each in batches[1:]:
        seconds.append(seconds_of(lambda each=each: train(coach, [each])))  # type: ignore[misc]
    used = (cpu_seconds() - used) / n_steps
    coach._guard.check()
    state = sum(tensor.nbytes for tensor in tensors_of(coach)) / MB
    found = peak.mb()
    result = {"step": median(seconds), "processor": used, "step MB": None if found is None else found - state}
    peak = Peak()
    coach.save_checkpoint(0, force=True)
    held = state + sum(parameter.nbytes for parameter in coach.model.parameters()) / MB
    return {**result, "save MB": peak.mb(), "held MB": held, "state MB": state}


def measure_resume(form: str, n_rows: int, batch: int, n_steps: int, threads: int, folder: str) -> dict[str, Any]:
    """Return the megabytes of the peak of resuming the run in a folder, above parameters and state."""
    from recrun.runs.folder import RunFolder

    run = next(path.parent for path in Path(folder).rglob("run.json") if not path.parent.is_symlink())
    coach = coach_of(form, n_rows, batch, n_steps, threads, folder, RunFolder(run))
    peak = Peak()
    coach.resume()
    state = sum(tensor.nbytes for tensor in tensors_of(coach)) / MB
    found = peak.mb()
    return {"resume MB": None if found is None else found - state}


def train(coach: Any, batches: list[Any]) -> None:
    """Train on some batches as a run does."""
    coach.dataloader = batches
    coach.train_per_epoch()


def tensors_of(coach: Any) -> list[Any]:
    """Return the tensors of the optimizer's state."""
    return [value for state in coach.optimizer.state.values() for value in state.values() if value.dim()]


def child(*given: Any, resumes: bool = False) -> Any:
    """Return what `measure` or `measure_resume` returns, from a process of its own."""
    command = python(__file__, "--resume" if resumes else "--measure", json.dumps(given))
    return json_of(run_child(command).output)


def show(batch: int, found: dict[str, Any]) -> None:
    """Print the figures of a batch size."""
    dense = found["adam"]
    print(f"\nbatches of {batch:,}")
    table(
        [
            "optimizer",
            "s/step",
            "ratio",
            "cpu s/step",
            "cpu ratio",
            "state MB",
            "held MB",
            "step MB",
            "save MB",
            "copies",
        ],
        [
            [
                form,
                result["step"],
                dense["step"] / result["step"],
                result["processor"],
                dense["processor"] / result["processor"],
                *(result[name] for name in ("state MB", "held MB", "step MB", "save MB")),
                None if result["save MB"] is None else result["save MB"] / result["held MB"],
            ]
            for form, result in found.items()
        ],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="users, and as many items")
    parser.add_argument("--batches", type=int, nargs="+", default=[2048, 8192])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--resume", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure or options.resume:
        given = json.loads(options.measure or options.resume)
        print(json.dumps(measure(*given) if options.measure else measure_resume(*given)))
        return
    print(f"{options.rows:,} users and items; {machine(options.threads)}")
    resumes = []
    for batch in options.batches:
        found: dict[str, Any] = {}
        for form in FORMS:
            with tempfile.TemporaryDirectory() as folder:
                given = (form, options.rows, batch, options.steps, options.threads, folder)
                found[form] = child(*given)
                if batch == options.batches[0]:
                    above = child(*given, resumes=True)["resume MB"]
                    resumes.append([form, above, None if above is None else above / found[form]["held MB"]])
        show(batch, found)
        allowed = COPIES_OF_A_BATCH * batch * 3 * 64 * 4 / MB
        for form in list(FORMS)[1:]:
            peak = found[form]["step MB"] or 0.0
            record(f"memory of a step of {form}, batch {batch}", peak, f"<= {allowed:.0f} MB", peak <= allowed, "MB")
    print("\nresuming")
    table(["optimizer", "MB", "copies"], resumes)


if __name__ == "__main__":
    main()
