"""What the best quarter of points has in common."""

from __future__ import annotations

import pytest

from recrun.sweep.importance.best_share import BestQuarter, Range, Shared, what_best_share

POINTS = [{"lr": n / 10, "loss": "bpr" if n < 5 else "ce", "same": 1, **({"m": n} if n > 5 else {})} for n in range(9)]


def test_ranges_and_counts_are_those_of_the_best_quarter_and_of_all() -> None:
    found = what_best_share(POINTS, [float(n) for n in range(9)])
    assert found == BestQuarter(
        (
            Shared("lr", Range(0.6, 0.7, 0.8, 3), Range(0.0, 0.4, 0.8, 9)),
            Shared("loss", None, None, (("ce", 3, 4), ("bpr", 0, 5))),
            Shared("m", Range(6, 7, 8, 3), Range(6, 7, 8, 3)),
        ),
        n_best=3,
        n=9,
    )


def test_smaller_values_are_the_best_where_the_criterion_falls() -> None:
    found = what_best_share(POINTS, [float(n) for n in range(9)], falls=True)
    assert isinstance(found, BestQuarter)
    assert found.settings[0].best == Range(0.0, 0.1, 0.2, 3)
    assert found.settings[2].best is None


@pytest.mark.parametrize(
    ("n", "reason"),
    [(7, "7 points are too few to tell what the best share; 8 are needed"), (0, "0 points are too few")],
)
def test_a_few_points_share_nothing_that_tells(n: int, reason: str) -> None:
    found = what_best_share(POINTS[:n], [float(each) for each in range(n)])
    assert isinstance(found, str)
    assert found.startswith(reason)


def test_points_that_are_all_alike_have_nothing_to_share() -> None:
    assert what_best_share([{"lr": 1}] * 9, [float(n) for n in range(9)]) == "no setting has two values"
