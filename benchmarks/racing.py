"""Simulate races over seeds: how often the truly best point is lost, and how many runs are saved.

    python benchmarks/racing.py [--races 2000]

The true means of the points are drawn from a normal distribution with standard deviation 1. A run has that mean, plus
what its seed does to all points, plus noise, which is normal or has the heavy tails of a t distribution. Each race is
run by several rules: a test, its level, and the number of seeds before the first comparison. A point is lost if it is
out before all seeds are done.

- lost: the share of races in which the truly best point is lost.
- crowned: the share in which it has the highest mean at the end; in brackets without a race, with all seeds.
- regret: by how much the true mean of the crowned point is below the best, in standard deviations of the noise divided
  by the root of the number of seeds, which is the precision of a mean; likewise.
- runs: the share of all runs that the race trains.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from math import sqrt
from typing import NamedTuple

import numpy as np
from _common import machine, record, table
from scipy.special import stdtr

from recrun.compare.corrections import holm
from recrun.sweep.schedules.race import Race, survivors
from recrun.sweep.schedules.wilcoxon import p_below

LIMIT = 0.05
"""The largest share of races in which the rule that recrun uses may lose the truly best point."""
Rule = Callable[[tuple[tuple[float, ...], ...]], Sequence[int]]


class Outcome(NamedTuple):
    """What came of a race: see the module."""

    is_lost: bool
    is_crowned: bool
    regret: float
    runs: float


def by_holm(values: tuple[tuple[float, ...], ...], level: float) -> list[int]:
    """Return who is left by t-tests whose p-values are corrected for their number, by Holm."""
    array = np.array(values)
    best = int(array.mean(axis=1).argmax())
    differences = array[best] - array
    error = differences.std(axis=1, ddof=1) / sqrt(array.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 1 - stdtr(array.shape[1] - 1, differences.mean(axis=1) / error)
    p[best] = np.nan
    return [point for point, corrected in enumerate(holm(p)) if not corrected < level]


def by_ranks(values: tuple[tuple[float, ...], ...], level: float) -> list[int]:
    """Return who is left by signed-rank tests."""
    best = max(values, key=sum)
    return [place for place, each in enumerate(values) if p_below(each, best) >= level]


RULES: dict[str, tuple[Rule, int]] = {
    "t 0.05, 2 seeds": (partial(survivors, level=0.05), 2),
    "t 0.05, 3 seeds": (partial(survivors, level=0.05), 3),
    "t 0.05, 4 seeds": (partial(survivors, level=0.05), 4),
    "t 0.02, 3 seeds": (partial(survivors, level=0.02), 3),
    "t 0.01, 3 seeds": (partial(survivors, level=0.01), 3),
    "t 0.01, 2 seeds": (partial(survivors, level=0.01), 2),
    "Holm 0.05, 3 seeds": (partial(by_holm, level=0.05), 3),
    "Holm 0.1, 3 seeds": (partial(by_holm, level=0.1), 3),
    "ranks 0.1, 4 seeds": (partial(by_ranks, level=0.1), 4),
    "ranks 0.05, 5 seeds": (partial(by_ranks, level=0.05), 5),
}
OWN = f"t {Race.level:g}, {Race.n_first} seeds"
SETTINGS = [
    (points, seeds, noise, tails)
    for seeds in (5, 10)
    for points in (9, 27)
    for noise, tails in ((0.1, "normal"), (0.3, "normal"), (1.0, "normal"), (1.0, "heavy"))
]


def race(rule: Rule, n_first: int, values: np.ndarray, means: np.ndarray) -> Outcome:
    """Return the outcome of a race; values are (points, seeds)."""
    n_points, n_seeds = values.shape
    left = list(range(n_points))
    runs = n_points * min(n_first, n_seeds)
    for n_done in range(n_first, n_seeds):
        places = rule(tuple(tuple(values[point, :n_done]) for point in left))
        left = [left[place] for place in places]
        runs += len(left)
    crowned = left[int(values[left].mean(axis=1).argmax())]
    best = int(means.argmax())
    return Outcome(best not in left, crowned == best, float(means[best] - means[crowned]), runs / values.size)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--races", type=int, default=2_000, help="of each setting and rule")
    options = parser.parse_args()
    rows, own = [], 0.0
    for n_points, n_seeds, noise, tails in SETTINGS:
        random = np.random.default_rng(0)
        means = random.normal(0, 1, (options.races, n_points))
        shape = (options.races, n_points, n_seeds)
        # A t variable with 3 degrees of freedom has the variance 3.
        noises = random.normal(0, 1, shape) if tails == "normal" else random.standard_t(3, shape) / sqrt(3)
        values = means[..., None] + noise * noises
        values += random.normal(0, noise, (options.races, 1, n_seeds))
        precision = noise / sqrt(n_seeds)
        whole = [race(lambda values: range(len(values)), n_seeds, *each) for each in zip(values, means, strict=True)]
        _, crowned, regret, _ = np.mean(whole, axis=0)
        for name, (rule, n_first) in RULES.items():
            if n_first >= n_seeds:
                continue
            outcomes = [race(rule, n_first, *each) for each in zip(values, means, strict=True)]
            lost, crowned_so, regret_so, runs = np.mean(outcomes, axis=0)
            own = max(own, float(lost)) if name == OWN else own
            rows.append(
                [
                    n_points,
                    n_seeds,
                    f"{noise} {tails}",
                    name,
                    f"{lost:.3f}",
                    f"{crowned_so:.3f} ({crowned:.3f})",
                    f"{regret_so / precision:.2f} ({regret / precision:.2f})",
                    f"{runs:.2f}",
                ]
            )
    print(f"{options.races:,} races in each row; {machine()}")
    table(["points", "seeds", "noise", "rule", "lost", "crowned", "regret", "runs"], rows)
    record("races that lose the best point, at the most", own, f"<= {LIMIT}", own <= LIMIT, unit="")


if __name__ == "__main__":
    main()
