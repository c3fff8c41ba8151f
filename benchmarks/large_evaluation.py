"""Compare evaluations of large catalogues: all users exactly, a sample of users, and an approximate index.

    python benchmarks/large_evaluation.py [--items 17 18 19 20] [--users 20] [--sample 10000] [--measured 2000]

For 2^K items of vectors of length 64 (--dim) and 2^20 users. The sample of users is timed; the time of all is that of
the sample times their number. An index is timed as it is built and as it finds the items of the measured users, which
stand for all likewise. Its recall is the share of the exact first 20 unseen items over 1,024 of these. Vectors are made
up: those of users and items lie around common centres, and their dimensions have different weights; --spread 1 draws
them without centres, which is harder to search.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from _common import machine, record, table

from recrun.data.interactions import CSR
from recrun.evaluation.index_search import IndexSearch, share_found
from recrun.evaluation.item_index import index_parameters
from recrun.evaluation.ranking import evaluate_ranking
from recrun.evaluation.top_lists import Lists
from recrun.evaluation.user_sample import UserSample

METRICS = ["ndcg@20", "recall@20"]
K = 20
N_SEEN = 20
N_CENTRES = 512


class Factors:
    """A model of vectors around common centres."""

    def __init__(self, n_users: int, n_items: int, dim: int, spread: float) -> None:
        generator = torch.Generator().manual_seed(0)
        scale = torch.arange(1, dim + 1) ** -0.5
        centres = torch.randn(N_CENTRES, dim, generator=generator) * scale
        self._vectors = []
        for n_rows in (n_users, n_items):
            noise = torch.randn(n_rows, dim, generator=generator) * scale
            own = centres[torch.randint(N_CENTRES, (n_rows,), generator=generator)]
            self._vectors.append((1 - spread) ** 0.5 * own + spread**0.5 * noise)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vectors of users and items."""
        return self._vectors[0], self._vectors[1]


def rows(n_users: int, n_items: int, n_each: int, seed: int) -> CSR:
    """Return rows of items drawn uniformly, about `n_each` for every user."""
    items = np.random.default_rng(seed).integers(0, n_items, n_users * n_each)
    return CSR.from_pairs(np.repeat(np.arange(n_users), n_each), items, n_users)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[17, 18, 19, 20], metavar="K")
    parser.add_argument("--users", type=int, default=20, metavar="K")
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--measured", type=int, default=2000)
    parser.add_argument("--indexes", nargs="+", default=["ivf:8", "ivf:32", "ivf:128"], metavar="KIND:BREADTH")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"2^{options.users} users, vectors of {options.dim}, spread {options.spread}; {machine(options.threads)}")
    n_users = 1 << options.users
    for exponent in options.items:
        lines = measure(1 << exponent, n_users, min(options.sample, n_users), options)
        table(["items", "evaluation", "building, s", "all, s", "full / this", "recall@20"], lines)


def measure(n_items: int, n_users: int, sample: int, options: argparse.Namespace) -> list[list[object]]:
    """Return the rows of the table for so many items."""
    n_made = max(sample, options.measured)  # the others would take as long
    model = Factors(n_made, n_items, options.dim, options.spread)
    seen, relevant = rows(n_made, n_items, N_SEEN, 1), rows(n_made, n_items, 1, 2)

    def exact(n: int) -> float:
        """Return the seconds of an exact evaluation of n users."""
        drawn, start = UserSample(n).drawn(relevant, "test"), time.perf_counter()
        evaluate_ranking(model, seen=seen, relevant=drawn, n_items=n_items, metrics=METRICS, device="cpu")
        return time.perf_counter() - start

    exact(64)
    of_sample = exact(sample)
    full = of_sample / sample * n_users
    lines: list[list[object]] = [
        [n_items, "full, exact", None, full, 1.0, 1.0],
        [n_items, f"{sample:,} users, exact", None, of_sample, full / of_sample, 1.0],
    ]
    users, built = np.arange(options.measured), {}
    for text in options.indexes:
        kind, _, breadth = text.partition(":")
        parameters, start = index_parameters(kind, n_items, int(breadth) if breadth else None), time.perf_counter()
        if kind not in built:
            opened = IndexSearch(kind).open(model, seen, n_items, K, 512 << 20)
            built[kind] = opened, time.perf_counter() - start
        (opened, building), start = built[kind], time.perf_counter()
        if kind == "ivf":
            opened.index.nprobe = parameters["probes"]
        else:
            opened.index.hnsw.efSearch = parameters["ef_search"]
        parts = [opened.lists(users[first : first + 256])[0] for first in range(0, len(users), 256)]
        total = building + (time.perf_counter() - start) / len(users) * n_users
        n_compared = min(len(users), 256 * 4)
        found = Lists(*(np.concatenate(each)[:n_compared] for each in zip(*parts, strict=True)))
        recall = share_found(found, opened.exact(users[:n_compared]))
        shown = ", ".join(f"{name} {value}" for name, value in parameters.items())
        lines.append([n_items, f"{kind} ({shown})", building, total, full / total, recall])
        record(f"{n_items:,} items: full evaluation / {text}", full / total, "", True, "")
    return lines


if __name__ == "__main__":
    main()
