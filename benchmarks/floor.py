"""Check that no bundled config is worse than popularity on real data, and print a table of models and data sets.

    python benchmarks/floor.py [--data ml-100k beauty] [--models bprmf ials] [--seconds 300] [--threads 1] [--enough]

Each model is trained with its bundled config and no other setting, until its early stopping ends the training or the
time is up, and is scored with the weights that were best on the validation part. Popularity is scored on the same split
with the same items masked. The exit code is 1 if a model stays below it on the validation part. Data sets that are not
there are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from _common import data_root, machine, table

if TYPE_CHECKING:
    from recrun.config.resolve import Resolved
    from recrun.training.coach import Coach

DATA: Final[dict[str, tuple[str, Sequence[str]]]] = {
    "ml-100k": ("ndcg@10", ["dataset=MovieLens100K", "split=user_time"]),
    "ml-1m": ("ndcg@10", ["dataset=MovieLens1M", "split=leave_one_out"]),
    "beauty": ("ndcg@10", ["dataset=Beauty", "split=leave_one_out"]),
    "gowalla": ("ndcg@20", ["dataset=Gowalla_m1"]),
}
"""The metric and the settings of each data set."""
BASELINES: Final = ("random", "popularity")
LONGER: Final[dict[tuple[str, str], tuple[float, int, int]]] = {
    ("ml-100k", "bsarec"): (1.04, 180, 50),
    ("ml-100k", "cl4srec"): (1.01, 106, 99),
    ("ml-100k", "cml"): (1.03, 371, 97),
    ("ml-100k", "diffrec"): (1.42, 15, 49),
    ("ml-100k", "duorec"): (1.01, 68, 40),
    ("ml-100k", "fearec"): (1.004, 65, 120),
    ("ml-100k", "hstu"): (1.03, 19, 42),
    ("ml-100k", "macridvae"): (1.09, 16, 44),
    ("ml-100k", "recvae"): (1.04, 40, 63),
    ("ml-100k", "youtubednn"): (1.03, 16, 89),
    ("ml-1m", "gfcf"): (2.14, 0, 86),
    ("ml-1m", "bert4rec"): (1.09, 240, 65),
    ("ml-1m", "gru4rec"): (1.06, 298, 46),
    ("ml-1m", "neumf"): (1.48, 5559, 34),
    ("ml-1m", "ngcf"): (1.02, 1328, 222),
    ("ml-1m", "simplex"): (1.01, 561, 166),
    ("ml-1m", "ultragcn"): (1.01, 686, 69),
    ("beauty", "ease"): (6.23, 0, 44),
    ("beauty", "gfcf"): (5.05, 0, 106),
    ("beauty", "ials"): (4.50, 0, 40),
    ("beauty", "slim"): (6.46, 0, 27),
    ("beauty", "bert4rec"): (1.31, 139, 20),
    ("beauty", "gru4rec"): (1.18, 448, 66),
    ("beauty", "multvae"): (1.25, 61, 23),
    ("beauty", "neumf"): (2.29, 3005, 172),
    ("beauty", "ngcf"): (1.15, 92, 45),
    ("beauty", "ultragcn"): (1.14, 217, 19),
    ("gowalla", "ease"): (8.91, 0, 1072),
    ("gowalla", "gfcf"): (8.45, 0, 68),
    ("gowalla", "ials"): (6.21, 0, 133),
    ("gowalla", "puresvd"): (4.15, 0, 22),
    ("gowalla", "rp3beta"): (8.44, 0, 35),
    ("gowalla", "slim"): (9.48, 0, 121),
    ("gowalla", "userknn"): (7.87, 0, 30),
    ("gowalla", "enmf"): (1.75, 177, 26),
    ("gowalla", "lightgcn"): (1.10, 60, 17),
    ("gowalla", "multvae"): (1.36, 60, 149),
    ("gowalla", "neumf"): (3.83, 14220, 758),
    ("gowalla", "ngcf"): (1.05, 177, 277),
    ("gowalla", "simplex"): (1.74, 89, 41),
    ("gowalla", "ultragcn"): (1.01, 457, 90),
}
"""Pairs of data and model that the tests leave out for their time.

Each has its ratio to popularity on valid at the first evaluation above it, and the steps (0 in closed form) and the
seconds until then, on one of two cores of a busy machine.
"""
UNMEASURED: Final = frozenset(
    (data, model)
    for data in ("ml-1m", "beauty", "gowalla")
    for model in (
        *("bsarec", "caser", "cl4srec", "cml", "dgcf", "diffrec", "duorec", "fearec", "fmlprec", "fpmc", "hstu"),
        *("lightgcl", "macridvae", "multdae", "narm", "ncl", "recvae", "sgl", "stamp", "transrec", "youtubednn"),
    )
)
"""Pairs that were not measured yet; the tests check these models on ml-100k alone."""
_SHARE: Final = 4
"""Training between two evaluations within an epoch takes this many times as long as the evaluation before it."""
_FIRST_EVALUATION: Final = 2.0
"""Seconds of training, at least, before an evaluation within an epoch."""


class Outcome(NamedTuple):
    """What a model reached.

    Args:
        data: the data set.
        model: the model.
        valid: its best value on the validation part.
        test: the value of the same weights on the test part; None if it was not asked for.
        steps: batches trained; 0 for a model in closed form.
        seconds: seconds of training and evaluation.
        ended: "fitted", "stopped early", "all epochs", "time is up" or "above" the value that was asked for.
    """

    data: str
    model: str
    valid: float
    test: float | None
    steps: int
    seconds: float
    ended: str


def models(data: str) -> list[str]:
    """Return the models that can rank on a data set: those of sequences where the order is tested, none of clicks.

    Those that read vectors of items do so where there are some: the genres of MovieLens 100K.
    """
    from recrun.config.family import family_of
    from recrun.registry import MODELS

    families = {name: family_of(MODELS.describe(name)) for name in MODELS.names()}
    names = [name for name, family in families.items() if family.evaluation == "ranking"]
    if data != "ml-100k":
        names = [name for name in names if not MODELS.describe(name).traits.item_vectors]
    return [name for name in names if not families[name].histories or data != "gowalla"]


@cache
def genres(root: str | Path) -> str:
    """Write the genres of the films of MovieLens 100K, 1 or 0 for each, as vectors to a new file; return its path."""
    import polars as pl

    from recrun.data.datasets import MovieLens100K
    from recrun.data.entities import find_entities

    films = find_entities(MovieLens100K(root), "item", None, root)
    if films is None:
        raise FileNotFoundError("there is no u.item beside the ratings of MovieLens 100K")
    of_films = films.columns["genres"]
    names = sorted({genre for each in of_films for genre in each})
    vectors = [[float(name in each) for name in names] for each in of_films]
    path = Path(tempfile.mkdtemp()) / "genres.parquet"
    pl.DataFrame({"item": films.ids, "genres": vectors}).write_parquet(path)
    return str(path)


def settings(model: str, data: str, root: str | Path, threads: int | None) -> Resolved:
    """Return the bundled config of a model on a data set, with nothing else changed than what is measured."""
    from recrun.config.resolve import resolve
    from recrun.registry import MODELS

    metric, chosen = DATA[data]
    vectors = [f"item_vectors=[{genres(root)}]"] if MODELS.describe(model).traits.item_vectors else []
    measured = [f"monitors=[{metric}]", f"which4best={metric}", "verbose=0", f"threads={threads or 'null'}"]
    return resolve(model, [*chosen, f"root={root}", *vectors, *measured])


def run(
    model: str,
    data: str,
    root: str | Path,
    *,
    seconds: float,
    threads: int | None = 1,
    above: float | None = None,
    with_test: bool = True,
) -> Outcome:
    """Train a model with its bundled config, and score it.

    Args:
        model: its name.
        data: one of `DATA`.
        root: the folder of the data sets.
        seconds: time after which the training ends.
        threads: CPU threads; None for all.
        above: end as soon as the value on the validation part is above this.
        with_test: whether the test part is scored as well.
    """
    from recrun.workflows.build import build

    resolved = settings(model, data, root, threads)
    coach = build(resolved)
    metric = DATA[data][0]

    def score(split: str) -> float:
        coach.model.eval()
        return float(coach.score(split, resolved.config, [metric])[metric])

    start = time.perf_counter()
    best, weights, stale, trained, ended = float("-inf"), None, 0, 0, "all epochs"
    for steps, is_due in _training(coach, resolved, start + seconds):
        trained = steps
        value = score("valid")
        stale = 0 if value > best else stale + is_due
        if value > best:
            best, weights = value, deepcopy(coach.model.state_dict()) if resolved.trains else None
        if above is not None and best > above:
            ended = "above"
        elif not resolved.trains:
            ended = "fitted"
        elif stale >= (resolved.config.get("early_stop_patience") or float("inf")):
            ended = "stopped early"
        elif time.perf_counter() > start + seconds:
            ended = "time is up"
        else:
            continue
        break
    if weights is not None:
        coach.model.load_state_dict(weights)
    test = score("test") if with_test else None
    return Outcome(data, model, best, test, trained, time.perf_counter() - start, ended)


def _training(coach: Coach, resolved: Resolved, end: float) -> Iterator[tuple[int, bool]]:
    """Train, and yield the steps so far when the model is to be evaluated, and whether the config asks for it."""
    config, start = resolved.config, time.perf_counter()
    if not resolved.trains:
        coach.model.fit(coach.dataset.base.training_data())
        yield 0, True
        return
    steps, evaluated, wait = 0, start, _FIRST_EVALUATION
    for epoch in range(config.epochs):
        for batch in coach.dataset.iterate("train", seed=config.seed, epoch=epoch):
            coach.model.train()
            loss = coach.model.training_loss(batch, coach.criterion)
            coach.optimizer.zero_grad()
            loss.backward()
            coach.optimizer.step()
            steps += 1
            now = time.perf_counter()
            if now > end or now - evaluated > wait:
                yield steps, False
                evaluated = time.perf_counter()
                wait = max(_FIRST_EVALUATION, _SHARE * (evaluated - now))
        if (epoch + 1) % config.eval_freq == 0 or epoch + 1 == config.epochs:
            yield steps, True
            evaluated = time.perf_counter()


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA), metavar="NAME", help=", ".join(DATA))
    parser.add_argument("--models", nargs="+", metavar="NAME", help="all that can rank on a data set, unless given")
    parser.add_argument("--seconds", type=float, default=300.0, help="time for each model on each data set")
    parser.add_argument("--threads", type=int, help="CPU threads; all, unless given")
    parser.add_argument("--enough", action="store_true", help="end a training as soon as it is above popularity")
    parser.add_argument("--to", type=Path, help="append each result to this file, as a line of JSON")
    options = parser.parse_args()
    print(machine(options.threads))
    rows, below = [], False
    for data in options.data:
        try:
            floor = run("popularity", data, data_root(), seconds=options.seconds, threads=options.threads)
        except Exception as error:
            print(f"{data}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        for model in options.models or models(data):
            above = floor.valid if options.enough else None
            outcome = run(model, data, data_root(), seconds=options.seconds, threads=options.threads, above=above)
            if options.to:
                with options.to.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(outcome._asdict()) + "\n")
            ratios = outcome.valid / floor.valid, (outcome.test or 0.0) / (floor.test or 1.0)
            below = below or (model not in BASELINES and ratios[0] <= 1)
            numbers = [
                f"{number:.4f}" for number in (outcome.valid, floor.valid, outcome.test or 0.0, floor.test or 0.0)
            ]
            shown = [*numbers, *(f"{ratio:.2f}" for ratio in ratios), str(outcome.steps), f"{outcome.seconds:.0f}"]
            rows.append([data, model, *shown, outcome.ended])
            print(*rows[-1], file=sys.stderr, flush=True)
    head = ["data", "model", "valid", "popularity", "test", "popularity", "ratio", "ratio", "steps", "seconds", "ended"]
    table(head, rows)
    return int(below)


if __name__ == "__main__":
    sys.exit(main())
