"""Time `recrun compare` on runs with the values of many users, as whole processes.

    python benchmarks/compare_runs.py [--users 30000] [--runs 10] [--repeats 3]

The folders hold what a comparison reads of finished runs: half of them are of one group, half of another, with 12
metrics. Shown are medians of the wall time of child processes, for the default test and for the others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from _common import METRICS, machine, median, record, recrun, run_child, table

from recrun.config.resolve import resolve
from recrun.metrics.per_user import PerUser, mean_of_users
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import write_per_user

LIMIT = 5.0
"""Seconds for the default test, with the start of the process."""
TESTS = {
    "t over both (default)": (),
    "t over users": ("--over", "users"),
    "wilcoxon over users": ("--test", "wilcoxon", "--over", "users"),
    "permutation over users": ("--test", "permutation", "--over", "users"),
    "bootstrap over users": ("--test", "bootstrap", "--over", "users"),
    "bootstrap over both": ("--test", "bootstrap"),
}


def make_runs(root: Path, n_runs: int, n_users: int) -> None:
    """Make the folders of finished runs of two groups."""
    settings = dict(resolve("bprmf").config)
    random = np.random.default_rng(0)
    users = np.array([f"user-{number}" for number in range(n_users)])
    taste = random.random((len(METRICS), n_users))
    for number in range(n_runs):
        group, seed = number % 2, number // 2
        run = RunFolder.create(root, {**settings, "id": f"{number:03}", "seed": seed, "embedding_dim": 64 + group})
        values = np.clip(taste + random.normal(0.01 * group, 0.1, taste.shape), 0, 1)
        of_users = dict(zip(METRICS, values, strict=True))
        numbers = {name: mean_of_users(each) for name, each in of_users.items()}
        run.update_run(status="done", which4best="ndcg@20", data={"split": "0" * 64}, code={}, versions={"recrun": "0"})
        document = {"status": "done", "best_epoch": 1, "valid": numbers, "test": numbers, "users": {"test": n_users}}
        run.write_json(run.metrics_file, document)
        write_per_user(run, "test", PerUser(users, of_users))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        make_runs(Path(temporary), options.runs, options.users)
        commands = {name: recrun("compare", temporary, *more) for name, more in TESTS.items()}
        ended = {name: [run_child(command) for _ in range(options.repeats)] for name, command in commands.items()}
    sizes = f"{options.users:,} users, {options.runs} runs, {len(METRICS)} metrics"
    print(f"{sizes}; {options.repeats} processes each; {machine()}")
    rows = [
        [name, median([each.seconds for each in found]), max(each.peak_mb for each in found)]
        for name, found in ended.items()
    ]
    table(["test", "median s", "peak MB"], rows)
    taken = float(rows[0][1])
    record(f"compare {sizes}", taken, f"<= {LIMIT} s", taken <= LIMIT)


if __name__ == "__main__":
    main()
