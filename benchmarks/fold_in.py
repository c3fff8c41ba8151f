"""Compare how a run's users are ranked as known and as new ones, and time the scores of a new one.

    python benchmarks/fold_in.py RUN ... [--users 2000] [--threads 1]

Of each user's train items, the scores as a known user (`score`) and as a new one (`score_histories`) are ranked: the
share of the first 20 items that both have, and the mean recall@20 of each on the test part (valid where there is no
test part), over `--users` users, evenly spaced; and the median of the processor milliseconds that the scores of one new
user take, the first call left out.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from _common import machine, table

from recrun.workflows.load import load

K = 20
BLOCK = 256
TIMED = 50


@torch.no_grad()
def measure(path: str, n_users: int) -> list[str]:
    """Return the row of one run."""
    loaded = load(path, trust=True)
    model, base = loaded.coach.model.eval(), loaded.coach.dataset.base
    rows, n_items = base.csr("train"), base.n_items
    histories = base.interactions("train").histories(base.n_users)
    if loaded.coach.dataset.base.describe()["test"]:
        relevant = base.csr("test").to_scipy(n_items)
    else:
        relevant = base.csr("valid").to_scipy(n_items)
    users = np.flatnonzero((np.diff(relevant.indptr) > 0) & (rows.lengths > 0))
    users = users[:: max(1, len(users) // n_users)]
    shared, recalls = [], {"known": [], "new": []}
    vectors = model.vectors()
    for start in range(0, len(users), BLOCK):
        block = users[start : start + BLOCK]
        index = torch.from_numpy(block)
        known = model.score(index) if vectors is None else vectors[0][index] @ vectors[1].T
        scores = {"known": known, "new": model.score_histories(histories.take(block))}
        seen = torch.from_numpy(rows.take(block).to_scipy(n_items).toarray()) > 0
        wanted = torch.from_numpy(relevant[block].toarray())
        top = {name: each.masked_fill(seen, -torch.inf).topk(K).indices for name, each in scores.items()}
        shared.append((top["known"][:, :, None] == top["new"][:, None, :]).any(2).double().mean(1))
        for name, items in top.items():
            recalls[name].append(wanted.gather(1, items).sum(1) / wanted.sum(1))
    seconds = []
    for user in users[: TIMED + 1]:
        one = histories.take(np.array([user]))
        begin = time.process_time()
        model.score_histories(one)
        seconds.append(time.process_time() - begin)
    figures = [torch.cat(each).double().mean().item() for each in (shared, recalls["known"], recalls["new"])]
    settings = loaded.resolved.config
    name = [settings.model, settings.dataset, f"{n_items:,}"]
    return [*name, *(f"{each:.4f}" for each in figures), f"{1e3 * statistics.median(seconds[1:]):.2f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = [measure(path, options.users) for path in options.runs]
    header = ["model", "data", "items", f"shared@{K}", f"recall@{K} known", f"recall@{K} new", "ms a user"]
    table(header, rows)
    print(machine(options.threads))


if __name__ == "__main__":
    main()
