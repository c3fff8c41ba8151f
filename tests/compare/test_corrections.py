"""Corrections for the number of tests, against numbers worked by hand and a slow version."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.compare.corrections import CORRECTIONS, benjamini_hochberg, holm, uncorrected


def test_holm_equals_numbers_worked_by_hand() -> None:
    # Sorted: .005 x 4 = .02, .011 x 3 = .033, .02 x 2 = .04, .04 x 1 = .04.
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])


def test_holm_keeps_the_order_and_stays_below_one() -> None:
    # Sorted: .03 x 3 = .09, .04 x 2 = .08 but not below .09, .9.
    assert holm([0.04, 0.9, 0.03]) == pytest.approx([0.09, 0.9, 0.09])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def test_benjamini_hochberg_equals_numbers_worked_by_hand() -> None:
    # Sorted: .005 x 4/1 = .02, .011 x 4/2 = .022, .02 x 4/3 = .02667, .04 x 4/4 = .04.
    assert benjamini_hochberg([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.08 / 3, 0.02, 0.04, 0.022])
    # Sorted: .01 x 3 = .03, .03 x 3/2 = .045 but not above .031, .031.
    assert benjamini_hochberg([0.031, 0.01, 0.03]) == pytest.approx([0.031, 0.03, 0.031])


@pytest.mark.parametrize("name", sorted(CORRECTIONS))
def test_a_test_without_p_is_not_counted(name: str) -> None:
    corrected = CORRECTIONS[name]
    assert corrected([0.01, float("nan"), 0.04])[[0, 2]].tolist() == corrected([0.01, 0.04]).tolist()
    assert np.isnan(corrected([0.01, float("nan")])[1])
    assert corrected([]).tolist() == []
    assert corrected([0.3]).tolist() == [0.3]


def test_without_a_correction_values_stay_and_are_a_copy() -> None:
    values = np.array([0.5, 0.01])
    assert uncorrected(values).tolist() == [0.5, 0.01]
    for corrected in CORRECTIONS.values():
        assert corrected(values) is not values


def _slow_holm(values: list[float]) -> list[float]:
    """As defined: the largest of (number not smaller) x p over all values up to one's own."""
    n, order = len(values), sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * n
    for place, index in enumerate(order):
        found[index] = min(1.0, max((n - i) * values[order[i]] for i in range(place + 1)))
    return found


def _slow_benjamini_hochberg(values: list[float]) -> list[float]:
    n, order = len(values), sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * n
    for place, index in enumerate(order):
        found[index] = min(1.0, min(n * values[order[i]] / (i + 1) for i in range(place, n)))
    return found


@given(st.lists(st.floats(0, 1, allow_subnormal=False), max_size=12))
def test_corrections_equal_their_slow_versions(values: list[float]) -> None:
    assert holm(values).tolist() == pytest.approx(_slow_holm(values))
    assert benjamini_hochberg(values).tolist() == pytest.approx(_slow_benjamini_hochberg(values))
