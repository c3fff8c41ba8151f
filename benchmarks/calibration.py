"""Count how often the tests of `recrun compare` find a difference where there is none.

    python benchmarks/calibration.py [--nulls 2000] [--users 200] [--seeds 2 3 5 10]

Two groups of runs are simulated whose means are the same. A user's value is the user's taste, plus what the user and
the group share, plus what the seed does to all users, plus noise of user and seed. The ratio is the variance of a mean
difference that is due to seeds, relative to that due to users. Shown is the share of comparisons with p < 0.05, which
should be 0.05; its standard error is 0.005 with 2,000 comparisons.
"""

from __future__ import annotations

import argparse

import numpy as np
from _common import machine, record, table

from recrun.compare.difference import Difference
from recrun.compare.significance import assess

LIMIT = 0.065
"""The largest share that the default test may have from 3 seeds on: 0.05 and three standard errors."""
RATIOS = (0.0, 0.25, 1.0, 4.0, 16.0)
TESTS = (
    ("t", "both"),
    ("t", "users"),
    ("t", "seeds"),
    ("wilcoxon", "users"),
    ("permutation", "seeds"),
    ("bootstrap", "both"),
    ("bootstrap", "seeds"),
)
N_RESAMPLES = 1_000


def null(
    random: np.random.Generator, n_nulls: int, n_users: int, n_seeds: int, ratio: float, paired: bool
) -> Difference:
    """Return comparisons of groups without a difference, as metrics."""
    taste = random.normal(0, 1, (n_users, n_nulls))

    def group() -> np.ndarray:
        of_users = random.normal(0, 0.5**0.5, (n_users, n_nulls))
        of_seeds = random.normal(0, (ratio * n_seeds / n_users / 2) ** 0.5, (n_seeds, 1, n_nulls))
        values: np.ndarray = taste + of_users + of_seeds + random.normal(0, 1, (n_seeds, n_users, n_nulls))
        return values

    return Difference.of(group(), group(), paired=paired)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nulls", type=int, default=2_000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    options = parser.parse_args()
    random = np.random.default_rng(0)
    rows = []
    for n_seeds in options.seeds:
        for paired in (True, False):
            for ratio in RATIOS:
                difference = null(random, options.nulls, options.users, n_seeds, ratio, paired)
                shares = [
                    float((assess(difference, test, over, N_RESAMPLES).p_M < 0.05).mean()) for test, over in TESTS
                ]
                rows.append([n_seeds, "same" if paired else "other", ratio, *(f"{share:.3f}" for share in shares)])
    print(f"{options.nulls:,} comparisons without a difference in each row, {options.users} users; {machine()}")
    table(["n", "seeds", "ratio", *(f"{test} {over}" for test, over in TESTS)], rows)
    largest = max((float(row[3]) for row in rows if int(row[0]) > 2), default=0.0)
    record("differences found where there is none", largest, f"<= {LIMIT}", largest <= LIMIT, unit="")


if __name__ == "__main__":
    main()
