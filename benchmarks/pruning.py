"""Compare what pruning trains with the whole grid, on learning curves of MovieLens 100K.

    python benchmarks/pruning.py [--epochs 27] [--orders 100]

27 settings of `bprmf` are trained to the end. Their curves on validation are kept in memory, and each pruner is run on
them as a study would be, with the points in the order of the grid and in random orders: a trial that is continued has
the same curve as one that ran through. Shown are the epochs that it trains, as a share of the grid's, and how far the
point that it finds is below the best one; over all orders, the mean and the worst.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from _common import data_root, machine, record, table

from recrun.sweep.schedules.choose import choose_schedule
from recrun.sweep.schedules.schedule import Result, Step
from recrun.sweep.schedules.window import decide

AXES: Mapping[str, Sequence[object]] = {
    "lr": (3e-4, 1e-3, 3e-3),
    "embedding_dim": (16, 64, 128),
    "embedding_decay": (0.0, 1e-2, 1e-1),
}
PRUNERS = (
    "asha",
    "asha, drawn",
    "asha:min_epochs=1",
    "asha:eta=4",
    "hyperband",
    "hyperband:min_epochs=1",
    "median",
    "median:min_points=3,min_epochs=1",
)
"""Those named `drawn` begin points as if a search drew them from results."""
METRIC = "ndcg@10"
WANTED = 1 / 3
"""The largest share of the grid's epochs that ASHA should need."""

Curve = dict[int, float]


def curves(epochs: int) -> list[Curve]:
    """Train each point of the grid, and return its values on validation by epoch."""
    from recrun.config.resolve import resolve
    from recrun.workflows.build import prepare

    found = []
    fixed = [f"root={data_root()}", "early_stop_patience=null", f"monitors=[{METRIC}]", "which4best=null"]
    fixed += ["verbose=0", "plots=false", "per_user=false", "eval_test=false", "threads=1"]
    for values in product(*AXES.values()):
        settings = [f"{key}={value}" for key, value in zip(AXES, values, strict=True)]
        with tempfile.TemporaryDirectory() as runs:
            resolved = resolve("ml100k/bprmf", [*fixed, *settings, f"epochs={epochs}"])
            coach = prepare(resolved, runs=Path(runs), reporters=lambda run, resumed_from: [])
            coach.fit()
            found.append(read_curve(coach.run.metrics_lines_file))
    return found


def read_curve(path: Path) -> Curve:
    """Return the values on validation by epoch."""
    from recrun.runs.history import read_history

    return {line["epoch"]: float(line["values"][METRIC]) for line in read_history(path) if line["split"] == "valid"}


def replay(pruner: str, points: Sequence[Curve]) -> tuple[int, float]:
    """Run a study on curves, one step after another; return its epochs, and the best value of what it trained whole."""
    last = max(points[0])
    name, comma, _ = pruner.partition(", ")
    config = {"epochs": last, "eval_freq": 1, "model": "bprmf"}
    schedule = choose_schedule(name, False, n_repeats=1, config=config, draws_adapt=bool(comma))
    steps: list[Step] = []
    results: list[Result | None] = []
    while isinstance(step := decide(schedule, steps, results, 1, len(points)), Step):
        curve = points[step.point]
        stops = (epoch for epoch in curve if max(v for e, v in curve.items() if e <= epoch) < floor(step, epoch))
        end = min([*stops, step.until or last])
        known = {epoch: value for epoch, value in curve.items() if epoch <= end}
        steps.append(step)
        results.append(Result(max(known.values()), end, end == last, end < (step.until or last), known))
    reached: dict[int, Result] = {}
    for step, result in zip(steps, results, strict=True):
        if result is not None:
            reached[step.point] = result
    finished = [result.value for result in reached.values() if result.is_finished and result.value is not None]
    return sum(result.epoch for result in reached.values()), max(finished)


def floor(step: Step, epoch: int) -> float:
    """Return the value below which a step stops at an epoch."""
    return step.floors.get(epoch, float("-inf"))


def main() -> None:
    """Train, replay and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=27, help="of each trial")
    parser.add_argument("--orders", type=int, default=100, help="random orders of the points")
    options = parser.parse_args()
    points = curves(options.epochs)
    report(points, options.orders)


def report(points: Sequence[Curve], n_orders: int) -> None:
    """Replay each pruner, and print."""
    best = max(max(curve.values()) for curve in points)
    total = sum(max(curve) for curve in points)
    draw = random.Random(0)
    orders = [draw.sample(points, len(points)) for _ in range(n_orders)]
    rows = []
    for pruner in PRUNERS:
        epochs, value = replay(pruner, points)
        drawn = [replay(pruner, order) for order in orders]
        shares = [each[0] / total for each in drawn]
        losses = [1 - each[1] / best for each in drawn]
        rows.append(
            [
                pruner,
                epochs,
                f"{epochs / total:.2f}",
                f"{1 - value / best:.2%}",
                f"{statistics.mean(shares):.2f} ({max(shares):.2f})",
                f"{statistics.mean(losses):.2%} ({max(losses):.2%})",
                f"{sum(loss == 0 for loss in losses)}/{n_orders}",
            ]
        )
        if pruner == "asha":
            record(
                "epochs of ASHA, of the grid's", epochs / total, f"<= {WANTED:.2f}", epochs / total <= WANTED, unit=""
            )
    print(f"the grid: {total} epochs, best {METRIC} {best:.4f}; {machine()}")
    head = ["pruner", "epochs", "share", "below the best"]
    table([*head, "share, random orders (worst)", "below the best (worst)", "found the best"], rows)


if __name__ == "__main__":
    main()
