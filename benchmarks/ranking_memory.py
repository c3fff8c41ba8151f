"""Measure the peak memory of ranking when a full score matrix (users x items) would not fit in memory.

    python benchmarks/ranking_memory.py [--users 200000] [--items 200000] [--sample 4096 | --full] [--memory 512]

Ranks a sample of the users (all of them with `--full`: some minutes on two cores) over all items, with vectors of 64
and 20 seen items per user. Prints the peak memory above the start, the bound, and the speed compared with the bare
blocked product of the same users, run in turn in the same process.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from _common import METRICS, Peak, machine, median, record
from evaluation import Factors

from recrun.config.monitor_names import parse_monitor
from recrun.data.interactions import CSR
from recrun.evaluation.ranking import evaluate_ranking

DIM, BARE_BLOCK = 64, 64


def random_rows(users: np.ndarray, n_users: int, n_items: int, each: int, seed: int) -> CSR:
    """Return `each` random items for each of `users`, and none for the others."""
    items = np.random.default_rng(seed).integers(0, n_items, len(users) * each)
    return CSR.from_pairs(np.repeat(users, each), items, n_users)


def bare_product(model: Factors, users: torch.Tensor) -> float:
    """Return the seconds of the blocked product of some users and all items."""
    out = torch.empty(BARE_BLOCK, len(model.items))
    start = time.perf_counter()
    for block in users.split(BARE_BLOCK):
        torch.mm(model.users[block], model.items.T, out=out[: len(block)])
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--sample", type=int, default=4096, help="users to rank")
    parser.add_argument("--full", action="store_true", help="rank all users, once")
    parser.add_argument("--memory", type=int, default=512, help="the bound, in MB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    n_ranked = options.users if options.full else min(options.sample, options.users)
    ranked = np.linspace(0, options.users - 1, n_ranked).astype(np.int64)
    model, metrics = Factors(options.users, options.items, DIM), [parse_monitor(name) for name in METRICS]
    seen = random_rows(np.arange(options.users), options.users, options.items, 20, 1)
    relevant = random_rows(ranked, options.users, options.items, 5, 2)
    print(f"{n_ranked:,} of {options.users:,} users x {options.items:,} items x {DIM}; {machine(options.threads)}")

    def evaluate() -> float:
        start = time.perf_counter()
        evaluate_ranking(
            model,
            seen=seen,
            relevant=relevant,
            n_items=options.items,
            metrics=metrics,
            device="cpu",
            memory_mb=options.memory,
        )
        return time.perf_counter() - start

    memory = Peak()
    first = evaluate()
    peak = memory.mb()
    turns = [(first, bare_product(model, torch.from_numpy(ranked)))]
    for _ in range(0 if options.full else options.runs - 1):
        turns.append((evaluate(), bare_product(model, torch.from_numpy(ranked))))
    seconds, bare = median([turn[0] for turn in turns]), median([turn[1] for turn in turns])
    ratio = median([ours / theirs for ours, theirs in turns])
    if peak is not None:
        print(f"peak memory above the start: {peak:.0f} MB of {options.memory} MB allowed")
        record("peak memory of ranking", peak, f"<= {options.memory} MB", peak <= options.memory, "MB")
    print(f"{seconds:.2f} s, {n_ranked / seconds:,.0f} users/s; bare product, blocks of {BARE_BLOCK}: {bare:.2f} s")
    print(f"ranking / bare product: {ratio:.2f}")


if __name__ == "__main__":
    main()
