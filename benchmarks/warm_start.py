"""Measure what a start from a trained run (`init_from`) is worth, on MovieLens.

    python benchmarks/warm_start.py [--only grown users items leak] [--models bprmf lightgcn] [--seeds 3]

The tables of docs/warm-start.md: test ndcg@20 at the best epoch on validation, after at most so many epochs: the mean
over seeds of the trained run and of the new one, and in brackets the standard deviation.

- grown: the earliest 80 % of MovieLens 100K, then all of it with split=time.
- users: the earliest 80 % of the rows of nine in ten users, then all rows of all users with split=user_time.
- items: MovieLens 100K, then the latest small MovieLens with init_match=items, films by title, and wrongly by number.
- leak: all of MovieLens 100K with split=ratio, then with another split_seed, before any further training.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from _common import data_root, table

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `recrun` does, before torch is imported

Row = tuple[str, str, int]
TRAINED, SCRATCH, WARM = 60, (3, 10, 60), (3, 10)
HEADS = [*(f"scratch, {epochs}" for epochs in SCRATCH), *(f"from a run, {epochs}" for epochs in WARM)]
SHARED = ["dataset=File", "device=cpu", "threads=1", "verbose=0", "plots=false", "per_user=false", "eval_freq=1"]
SETTINGS = ["lr=0.001", "monitors=[recall@20,ndcg@20]", "valid_ratio=0.1", "test_ratio=0.1"]
OF_MODEL = {"sasrec": ["batch_size=128", "max_length=50"]}


def movielens_100k() -> tuple[list[Row], dict[str, str]]:
    """Return the rows by time, and the title of each film."""
    folder = data_root() / "ml-100k"
    with gzip.open(folder / "u.data.gz", "rt", encoding="utf-8") as file:
        rows = [(user, item, int(time)) for user, item, _, time in csv.reader(file, delimiter="\t")]
    with gzip.open(folder / "u.item.gz", "rt", encoding="latin-1") as file:
        titles = dict(line.split("|")[:2] for line in file)
    return sorted(rows, key=lambda row: row[2]), titles


def latest_small() -> tuple[list[Row], dict[str, str]]:
    """Return the rows by time, and the title of each film."""
    folder = data_root() / "ml-latest-small"
    with gzip.open(folder / "ratings.csv.gz", "rt", encoding="utf-8") as file:
        rows = [(each["userId"], each["movieId"], int(each["timestamp"])) for each in csv.DictReader(file)]
    with gzip.open(folder / "movies.csv.gz", "rt", encoding="utf-8") as file:
        titles = {each["movieId"]: each["title"] for each in csv.DictReader(file)}
    return sorted(rows, key=lambda row: row[2]), titles


def write(path: Path, rows: Iterable[Row], titles: dict[str, str] | None = None) -> str:
    """Write rows, films by title if titles are given, each pair once; return the setting that names the file."""
    first: dict[tuple[str, str], int] = {}
    for user, item, time in rows:
        first.setdefault((user, item if titles is None else titles[item].strip()), time)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("user", "item", "time"), *((*pair, time) for pair, time in first.items())])
    return f"path={path.name}"


def train(folder: Path, model: str, *options: str) -> tuple[str, float]:
    """Train a run, and return its folder and its test ndcg@20."""
    from recrun.config.resolve import resolve
    from recrun.workflows.build import prepare

    settings = [*SHARED, *SETTINGS, f"root={folder}", *OF_MODEL.get(model, ["batch_size=1024"]), *options]
    coach = prepare(resolve(model, settings), runs=folder / "runs", reporters=lambda run, resumed_from: [])
    return str(coach.run.path), float(coach.fit()["test"]["ndcg@20"])


def compare(folder: Path, model: str, seeds: int, old: Sequence[str], new: Sequence[str], *how: str) -> list[Any]:
    """Return the row of a table: from scratch, and from a run on the old data, after different numbers of epochs."""
    found = []
    for seed in range(1, seeds + 1):
        source, _ = train(folder, model, *old, f"epochs={TRAINED}", f"seed={seed}")
        again = [*new, f"seed={seed}"]
        scratch = [train(folder, model, *again, f"epochs={epochs}")[1] for epochs in SCRATCH]
        warm = [train(folder, model, *again, f"epochs={epochs}", f"init_from={source}", *how)[1] for epochs in WARM]
        found.append([*scratch, *warm])
    return [model, *map(summary, zip(*found, strict=True))]


def summary(values: Sequence[float]) -> str:
    """Return the mean and the standard deviation as text."""
    spread = f" ({statistics.stdev(values):.4f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def grown(folder: Path, models: Sequence[str], seeds: int) -> list[list[Any]]:
    """Return the rows of data that grew by time."""
    rows, _ = movielens_100k()
    old, new = write(folder / "old.csv", rows[: int(0.8 * len(rows))]), write(folder / "all.csv", rows)
    return [compare(folder, model, seeds, [old, "split=time"], [new, "split=time"]) for model in models]


def users(folder: Path, models: Sequence[str], seeds: int) -> list[list[Any]]:
    """Return the rows of users that came back."""
    rows, _ = movielens_100k()
    by_user: dict[str, list[Row]] = {}
    for row in rows:
        by_user.setdefault(row[0], []).append(row)
    stayed = [each for place, each in enumerate(sorted(by_user, key=int)) if place % 10]
    early = [row for user in stayed for row in by_user[user][: int(0.8 * len(by_user[user]))]]
    old, new = write(folder / "old.csv", early), write(folder / "all.csv", rows)
    return [compare(folder, model, seeds, [old, "split=user_time"], [new, "split=user_time"]) for model in models]


def items(folder: Path, models: Sequence[str], seeds: int) -> list[list[Any]]:
    """Return the rows of items of other data, by title and by number."""
    found = []
    (before, names), (after, other_names) = movielens_100k(), latest_small()
    for way, of_old, of_new in (("title", names, other_names), ("number", None, None)):
        old, new = write(folder / "old.csv", before, of_old), write(folder / "new.csv", after, of_new)
        for model in models:
            row = compare(folder, model, seeds, [old, "split=user_time"], [new, "split=user_time"], "init_match=items")
            found.append([f"{row[0]}, by {way}", *row[1:]])
    return found


def leak(folder: Path, models: Sequence[str], seeds: int) -> list[list[Any]]:
    """Return the rows of metrics that are too good: the trained run saw what is held out now."""
    found = []
    data = [write(folder / "all.csv", movielens_100k()[0]), "split=ratio"]
    for model in models:
        pairs = []
        for seed in range(1, seeds + 1):
            given = [*data, f"seed={seed}"]
            source, _ = train(folder, model, *given, "split_seed=1", f"epochs={TRAINED}")
            scratch = train(folder, model, *given, "split_seed=2", f"epochs={TRAINED}")[1]
            pairs.append((scratch, train(folder, model, *given, "split_seed=2", "epochs=0", f"init_from={source}")[1]))
        found.append([model, *map(summary, zip(*pairs, strict=True))])
    return found


TRIALS = {
    "grown": (grown, ("bprmf", "lightgcn")),
    "users": (users, ("bprmf", "lightgcn")),
    "items": (items, ("sasrec", "bprmf")),
    "leak": (leak, ("bprmf",)),
}


def main() -> None:
    """Run the trials and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=TRIALS, nargs="*", default=list(TRIALS))
    parser.add_argument("--models", nargs="*", help="other models than those of the tables")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.only:
        trial, models = TRIALS[name]
        heads = HEADS if name != "leak" else [f"scratch, {TRAINED}", "from a run, 0"]
        with tempfile.TemporaryDirectory() as folder:
            table([f"{name}: epochs", *heads], trial(Path(folder), arguments.models or models, arguments.seeds))


if __name__ == "__main__":
    main()
