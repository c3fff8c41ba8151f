"""Compare searches at equal numbers of trials on MovieLens 100K: the best ndcg@20 on validation that a study finds.

    python benchmarks/search.py [--searches random tpe] [--studies 10] [--trials 40] [--models rp3beta]

Each study is one search with one seed over the settings of one model. Its points are drawn and told one after another,
as `recrun sweep --search` does, and trained in this process. Shown are the mean over studies of the best value, and
its difference to random points of the same seeds, each with a 95 % interval of Student's distribution; and how long it
takes to go on with a study of many points after a restart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from _common import data_root, machine, record, table
from scipy import stats

from recrun.config.resolve import resolve
from recrun.sweep.search.choose import SEARCHES, choose_sampler
from recrun.sweep.search.sampler import Told
from recrun.sweep.space.dimensions import Dimension, Interval, Options, Space
from recrun.workflows.build import prepare

METRIC = "ndcg@20"


def _interval(key: str, low: float, high: float, *, log: bool = False, is_integer: bool = False) -> Dimension:
    return Dimension(key, Interval(key, low, high, log=log, is_integer=is_integer))


def _options(key: str, *values: str) -> Dimension:
    return Dimension(key, Options(tuple({key: value} for value in values)))


SPACES: Mapping[str, Space] = {
    "rp3beta": Space(
        (
            _interval("alpha", 0.0, 2.0),
            _interval("beta", 0.0, 2.0),
            _interval("n_neighbors", 5, 1000, log=True, is_integer=True),
            _options("neighbors_of", "source", "target", "both"),
            _options("normalize_neighbors", "false", "true"),
        )
    ),
    "ials": Space(
        (
            _interval("embedding_dim", 8, 128, log=True, is_integer=True),
            _interval("unobserved_weight", 1e-3, 10.0, log=True),
            _interval("reg_weight", 1e-5, 1.0, log=True),
            _interval("reg_exponent", 0.0, 1.0),
            _interval("init_std", 1e-3, 1.0, log=True),
        )
    ),
}


@cache
def value_of(model: str, settings: tuple[str, ...]) -> float:
    """Return the metric on validation of a run with these settings."""
    root = data_root()
    data = ["dataset=MovieLens100K", f"root={root}"] if (root / "ml-100k").exists() else ["dataset=Synthetic"]
    shared = [*data, "test_ratio=0.1", "valid_ratio=0.1", f"monitors=[{METRIC}]", "eval_test=false", "threads=1"]
    with tempfile.TemporaryDirectory() as runs:
        resolved = resolve(model, [*shared, "verbose=0", *settings])
        result = prepare(resolved, runs=runs, reporters=lambda run, resumed_from: []).fit()
    return float(result["valid"][METRIC])


def best_of(search: str, model: str, seed: int, n_trials: int) -> tuple[float, float]:
    """Return the best value of a study, and the seconds spent on drawing its points."""
    space = SPACES[model]
    sampler = choose_sampler(search, space, seed)
    told: list[Told] = []
    seconds = 0.0
    while len(told) < n_trials:
        start = time.perf_counter()
        draw = sampler.draw(told)
        seconds += time.perf_counter() - start
        if draw is None:
            break
        settings = tuple(f"{key}={text}" for key, text in space.settings(draw).items())
        told.append(Told(draw, (value_of(model, settings),)))
    return max(each.values[0] for each in told if each.values is not None), seconds


def restart(model: str, searches: Sequence[str], sizes: Sequence[int]) -> None:
    """Print how long it takes to draw the next point of a study that was just read from its folder."""
    space = SPACES[model]
    rows = []
    for name in searches:
        choose_sampler(name, space, 0).draw([])  # imports what it needs
        seconds = []
        for size in sizes:
            sampler, told = choose_sampler("random", space, 0), []
            while len(told) < size:
                draw = sampler.draw(told)
                if draw is None:
                    raise RuntimeError("the space has too few points")
                told.append(Told(draw, (float(draw["alpha"] if "alpha" in draw else draw["reg_exponent"]),)))
            start = time.perf_counter()
            choose_sampler(name, space, 0).draw(told)
            seconds.append(f"{time.perf_counter() - start:.2f}")
        rows.append([name, *seconds])
    print(f"\n{model}: seconds to draw the next point of a study of so many points after a restart")
    table(["search", *map(str, sizes)], rows)


def mean_with_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and half the width of its 95 % interval."""
    width = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values)), float(width)


def measure(model: str, searches: Sequence[str], n_studies: int, n_trials: int) -> None:
    """Run the studies of a model and print what they found."""
    found = {name: [best_of(name, model, seed, n_trials) for seed in range(n_studies)] for name in searches}
    best = {name: [value for value, _ in each] for name, each in found.items()}
    rows = []
    for name in searches:
        mean, width = mean_with_interval(best[name])
        seconds = sum(each for _, each in found[name]) / (n_studies * n_trials)
        row = [name, f"{mean:.4f} ± {width:.4f}", f"{min(best[name]):.4f}", f"{seconds:.3f}", "", ""]
        if name != "random" and "random" in best:
            differences = np.subtract(best[name], best["random"])
            gain, width = mean_with_interval(list(differences))
            row[-2:] = [f"{gain:+.4f} ± {width:.4f}", f"{int(np.sum(differences > 0))} of {n_studies}"]
            if name == "tpe":
                target = f"{model}: best {METRIC} of {n_trials} trials, TPE minus random"
                record(target, gain, "> 0", gain > 0, unit="")
        rows.append(row)
    print(f"\n{model}: {n_studies} studies of {n_trials} trials, best {METRIC} on validation")
    table(["search", "mean of best", "worst", "s a draw", "minus random", "better in"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", nargs="+", default=["random", "tpe"], choices=[*SEARCHES])
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--models", nargs="+", default=["rp3beta"], choices=[*SPACES])
    parser.add_argument("--points", type=int, nargs="+", default=[200, 1000])
    options = parser.parse_args()
    print(machine())
    for model in options.models:
        restart(model, options.searches, options.points)
        measure(model, options.searches, options.studies, options.trials)


if __name__ == "__main__":
    main()
