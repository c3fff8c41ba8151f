"""Compare a full evaluation on Gowalla with the bare matrix product of the same shapes, in one process.

    python benchmarks/evaluation.py [--threads 2] [--runs 7] [--cpu-time]

Twelve numbers (recall, precision, hitrate, ndcg, mrr, map at 10 and 20) for all 29,858 users over 40,981 items with
vectors of 64; the train part is masked. The bare product is `torch.mm(out=)` over blocks of users into one buffer; its
speed depends on the block, so several are measured. All are run in turn; the table has medians and best runs. Without
the data, random rows of the same counts are ranked, and the output says so. `--cpu-time` measures processor time
instead of wall time: on a shared machine it is the steadier measure (with one thread).

Beside it: an evaluation that keeps the metrics of each user and writes them to a run folder, and one that ranks the
relevant items among 99 drawn ones.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _common import METRICS, cpu_seconds, data_root, machine, median, record, table

from recrun.config.monitor_names import parse_monitor
from recrun.data.interactions import CSR
from recrun.evaluation.candidates import drawn
from recrun.evaluation.ranking import evaluate_ranking
from recrun.runs.folder import RunFolder
from recrun.runs.per_user import write_per_user

N_USERS, N_ITEMS, DIM = 29_858, 40_981, 64
N_SEEN, N_RELEVANT = 810_128, 217_242
BLOCKS = (64, 128, 256, 1024, 2048)
WANTED = 1.25
WANTED_OF_USERS = 1.02


class Parts:
    """What candidates are drawn from: the items seen and those to be found."""

    n_items = N_ITEMS

    def __init__(self, seen: CSR, relevant: CSR) -> None:
        self._seen, self._relevant = seen, relevant

    def csr(self, split: str) -> CSR:
        """Return the rows of a part."""
        return self._seen if split == "train" else self._relevant

    def seen(self, split: str) -> CSR:
        """Return the items seen before a part."""
        return self._seen


class Factors:
    """A model of random vectors, scored by their products."""

    def __init__(self, n_users: int, n_items: int, dim: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.users = torch.randn(n_users, dim, generator=generator)
        self.items = torch.randn(n_items, dim, generator=generator)

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vectors of users and items."""
        return self.users, self.items


def bare_product(model: Factors, block: int) -> None:
    """Multiply all users by all items, block by block, into one buffer."""
    out = torch.empty(block, len(model.items))
    for start in range(0, len(model.users), block):
        users = model.users[start : start + block]
        torch.mm(users, model.items.T, out=out[: len(users)])


def read(path: Path) -> CSR:
    """Read a part of the LightGCN split: a line per user, `user item item ...`."""
    with gzip.open(path, "rt") as file:
        lines = [np.array(line.split(), dtype=np.int64) for line in file]
    users = np.concatenate([np.full(len(line) - 1, line[0]) for line in lines])
    return CSR.from_pairs(users, np.concatenate([line[1:] for line in lines]), N_USERS)


def random_rows(n_pairs: int, seed: int) -> CSR:
    """Return rows with about `n_pairs` pairs, at least one for every user."""
    rng = np.random.default_rng(seed)
    users = np.concatenate([np.arange(N_USERS), rng.integers(0, N_USERS, n_pairs - N_USERS)])
    return CSR.from_pairs(users, rng.integers(0, N_ITEMS, n_pairs), N_USERS)


def in_turn(tasks: dict[str, Callable[[], object]], runs: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Run every task once, then all of them `runs` times in turn; return the seconds of each run."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(runs + 1):
        for name, task in tasks.items():
            start = clock()
            task()
            if number:
                seconds[name].append(clock() - start)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    folder = data_root() / "gowalla"
    if (folder / "train.txt.gz").exists():
        kind, seen, relevant = "Gowalla", read(folder / "train.txt.gz"), read(folder / "test.txt.gz")
    else:
        kind, seen, relevant = "random rows", random_rows(N_SEEN, 1), random_rows(N_RELEVANT, 2)
    unit = "processor" if options.cpu_time else "wall"
    print(f"{kind}: {seen.nnz:,} seen, {relevant.nnz:,} relevant; {options.runs} runs in turn, {unit} seconds")
    print(machine(options.threads))

    model, metrics = Factors(N_USERS, N_ITEMS, DIM), [parse_monitor(name) for name in METRICS]

    def evaluate(candidates: CSR | None = None) -> None:
        given = {"seen": seen, "relevant": relevant, "metrics": metrics, "candidates": candidates}
        evaluate_ranking(model, n_items=N_ITEMS, device="cpu", **given)  # type: ignore[arg-type]

    def evaluate_and_keep(run: RunFolder) -> None:
        given = {"seen": seen, "relevant": relevant, "metrics": metrics, "keep_users": True}
        found = evaluate_ranking(model, n_items=N_ITEMS, device="cpu", **given)  # type: ignore[arg-type]
        write_per_user(run, "test", found.per_user)

    tasks: dict[str, Callable[[], object]] = {
        f"bare product, blocks of {block}": lambda block=block: bare_product(model, block) for block in BLOCKS
    }
    clock = cpu_seconds if options.cpu_time else time.perf_counter
    bare = in_turn({**tasks, "evaluation": evaluate}, options.runs, clock)
    ours = bare.pop("evaluation")
    ratios = {name: median([a / b for a, b in zip(ours, values, strict=True)]) for name, values in bare.items()}
    rows = [[name, median(values), min(values), ratios[name], min(ours) / min(values)] for name, values in bare.items()]
    table(
        ["", "median", "best", "evaluation / this", "best / best"],
        [*rows, ["evaluation, 12 metrics", median(ours), min(ours), None, None]],
    )
    slowest, fastest = min(ratios.values()), max(ratios.values())
    record("evaluation / bare product, its slowest block", slowest, f"<= {WANTED}", slowest <= WANTED, "")
    record("evaluation / bare product, its fastest block", fastest, f"<= {WANTED}", fastest <= WANTED, "")

    candidates, _ = drawn(Parts(seen, relevant), "test", 99, "uniform", 1)
    with tempfile.TemporaryDirectory() as temporary:
        variants: dict[str, Callable[[], object]] = {
            "as it is": evaluate,
            "metrics of each user kept and written": lambda: evaluate_and_keep(RunFolder(temporary)),
            "among 99 candidates": lambda: evaluate(candidates),
        }
        taken = in_turn(variants, options.runs, clock)
    plain = taken["as it is"]
    more = {name: median([a / b for a, b in zip(values, plain, strict=True)]) for name, values in taken.items()}
    rows = [[name, median(values), min(values), more[name], min(values) / min(plain)] for name, values in taken.items()]
    table(["evaluation, 12 metrics", "median", "best", "this / as it is", "best / best"], rows)
    of_users = more["metrics of each user kept and written"]
    record(
        "evaluation that keeps each user / without", of_users, f"<= {WANTED_OF_USERS}", of_users <= WANTED_OF_USERS, ""
    )


if __name__ == "__main__":
    main()
