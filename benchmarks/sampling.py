"""Measure negatives per second on Gowalla, compared with a plain numpy rejection loop, and check them.

    python benchmarks/sampling.py [--root ../shared/data] [--runs 7]

Prints, for each sampler: accepted negatives per second on one core (median, best and worst of several runs in CPU
time), the ratio to the plain loop run in turn with it, false negatives in ten million draws, and the p-value of a
chi-square test of the drawn items against the exact distribution.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402 - after the thread settings
from _common import record  # noqa: E402
from scipy.stats import chi2  # noqa: E402

from recrun.data.fields import FieldTuple  # noqa: E402
from recrun.data.interactions import Interactions, TrainingData  # noqa: E402
from recrun.data.sampling.negatives import NegativeSampler, PopularityNegatives, UniformNegatives  # noqa: E402
from recrun.randomness import generator  # noqa: E402

N_USERS, N_ITEMS = 29_858, 40_981
DRAWS = 1 << 20
CHECKED = 10_000_000


def read_gowalla(root: Path) -> TrainingData:
    """Read `gowalla/train.txt.gz`: a line per user, `user item item ...`."""
    with gzip.open(root / "gowalla" / "train.txt.gz", "rt") as file:
        lines = [np.array(line.split(), dtype=np.int32) for line in file]
    users = np.concatenate([np.full(len(line) - 1, line[0], dtype=np.int32) for line in lines])
    items = np.concatenate([line[1:] for line in lines])
    return TrainingData(FieldTuple(), N_USERS, N_ITEMS, Interactions(users, items))


def plain_loop(data: TrainingData, weights: np.ndarray | None) -> Callable[..., np.ndarray]:
    """Return the obvious vectorised sampler: draw, look all pairs up in a sorted array, redraw the seen ones."""
    rows = data.csr()
    codes = np.repeat(np.arange(data.n_users), rows.lengths) * data.n_items + rows.indices
    probabilities = None if weights is None else weights / weights.sum()

    def draw(users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        items = np.empty(len(users), dtype=np.int64)
        left = np.arange(len(users))
        while len(left):
            if probabilities is None:
                items[left] = rng.integers(0, data.n_items, len(left))
            else:
                items[left] = rng.choice(data.n_items, len(left), p=probabilities)
            wanted = users[left].astype(np.int64) * data.n_items + items[left]
            positions = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
            left = left[codes[positions] == wanted]
        return items

    return draw


def rate(draw: Callable[..., np.ndarray], users: np.ndarray, run: int) -> float:
    """Return negatives per second of CPU time."""
    rng = generator(run, 0, "benchmark")
    start = time.process_time()
    n_drawn = draw(users, rng).size
    return n_drawn / (time.process_time() - start)


def check(data: TrainingData, sampler: NegativeSampler, weights: np.ndarray) -> tuple[int, float]:
    """Return the number of false negatives in ten million draws, and the chi-square p-value of the items drawn."""
    rng = generator(0, 0, "check")
    rows = data.csr()
    codes = np.repeat(np.arange(data.n_users), rows.lengths) * data.n_items + rows.indices
    # Every user is drawn for equally often, so one sparse product gives the expected count of each item.
    users = np.repeat(np.arange(data.n_users, dtype=np.int32), CHECKED // data.n_users + 1)
    drawn = np.zeros(data.n_items)
    wrong = 0
    for part in np.array_split(users, 16):
        items = sampler.draw(part, rng)[:, 0].astype(np.int64)
        wrong += int(np.isin(part.astype(np.int64) * data.n_items + items, codes).sum())
        drawn += np.bincount(items, minlength=data.n_items)
    seen = data.matrix().astype(np.float64)
    per_user = (len(users) / data.n_users) / (weights.sum() - seen @ weights)
    expected = weights * (per_user.sum() - seen.T @ per_user)
    # Counts vary slightly less than Poisson counts (by 1 / n_items), so p-values are slightly too high.
    statistic = float(((drawn - expected) ** 2 / expected).sum())
    return wrong, float(chi2.sf(statistic, data.n_items - 1))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("RECRUN_DATA", "../shared/data")))
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    data = read_gowalla(options.root)
    popularity = np.maximum(data.item_counts(), 1).astype(np.float64)
    users = data.interactions.users[generator(0, 0, "users").integers(0, len(data.interactions), DRAWS)]
    print(f"Gowalla: {data.n_users} users, {data.n_items} items, {len(data.interactions)} train interactions")
    print(f"{'sampler':30}{'million/s':>10}{'  (worst, best)':<18}{'x plain':>8}{'false':>7}{'p-value':>9}")
    samplers: list[tuple[str, Callable[[int], NegativeSampler], np.ndarray | None]] = [
        ("uniform", lambda k: UniformNegatives(data, n_negatives=k), None),
        ("popularity, alpha 0.75", lambda k: PopularityNegatives(data, n_negatives=k, alpha=0.75), popularity**0.75),
        ("popularity, alpha 1", lambda k: PopularityNegatives(data, n_negatives=k, alpha=1.0), popularity),
    ]
    for name, build, weights in samplers:
        plain = plain_loop(data, weights)
        wrong, p_value = check(data, build(1), np.ones(data.n_items) if weights is None else weights)
        for n_negatives in (1, 8):
            sampler = build(n_negatives)
            pairs = [
                (rate(sampler.draw, users[::n_negatives], run), rate(plain, users, run)) for run in range(options.runs)
            ]
            rates = [ours for ours, _ in pairs]
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            spread = f"  ({min(rates) / 1e6:.1f}, {max(rates) / 1e6:.1f})"
            print(
                f"{name + f', K = {n_negatives}':30}{statistics.median(rates) / 1e6:10.1f}{spread:<18}{ratio:8.1f}",
                end="",
            )
            print(f"{wrong:7}{p_value:9.3f}")
            millions = statistics.median(rates) / 1e6
            record(
                f"negatives per second, {name}, K = {n_negatives}", millions, ">= 5 million", millions >= 5, "million"
            )
            record(f"false negatives, {name}", wrong, "0 in 10 million", wrong == 0, "")


if __name__ == "__main__":
    main()
