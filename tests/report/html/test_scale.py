"""Axes: where values lie, which are written, and what is kept of many points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.report.html.scale import Scale, number_of, thinned

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def test_round_values_are_written_along_an_axis() -> None:
    scale = Scale(0.0, 1.0, 0, 100)
    assert scale.ticks() == [
        (0.0, "0.0"),
        (0.2, "0.2"),
        (0.4, "0.4"),
        (pytest.approx(0.6), "0.6"),
        (0.8, "0.8"),
        (1.0, "1.0"),
    ]
    assert scale(0.25) == 25


def test_values_of_several_powers_of_ten_get_a_logarithmic_axis_if_they_may() -> None:
    values = [1e-4, 1e-3, 1e-2]
    scale = Scale.of(values, 0, 100, may_log=True)
    assert scale.is_log
    assert [label for _, label in scale.ticks()] == ["0.0001", "0.001", "0.01"]
    places = [scale(value) for value in values]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert not Scale.of(values, 0, 100).is_log
    assert not Scale.of([0, *values], 0, 100, may_log=True).is_log


def test_an_axis_of_bars_begins_at_zero() -> None:
    scale = Scale.of([3.0, 5.0], 0, 100, has_zero=True)
    assert scale(0.0) == 0


@given(st.lists(FINITE, max_size=8), st.booleans(), st.booleans())
def test_every_value_lies_on_its_axis_and_so_do_the_ticks(values: list[float], may_log: bool, has_zero: bool) -> None:
    scale = Scale.of(values, 10, 110, may_log=may_log, has_zero=has_zero)
    for value in [*values, *(value for value, _ in scale.ticks())]:
        assert 9.99 <= scale(value) <= 110.01
    assert len(scale.ticks()) <= 12


@given(st.lists(st.tuples(st.integers(0, 10**6), FINITE), max_size=300, unique_by=lambda point: point[0]))
def test_thinning_keeps_both_ends_the_extremes_and_the_order(points: list[tuple[int, float]]) -> None:
    points.sort()
    kept = thinned(points, 20)
    assert len(kept) <= max(20, 0)
    assert kept == sorted(kept)
    assert set(kept) <= set(points)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
        assert max(value for _, value in kept) == max(value for _, value in points)
        assert min(value for _, value in kept) == min(value for _, value in points)


def test_only_finite_numbers_are_numbers_of_an_axis() -> None:
    assert [number_of(value) for value in (1, 0.5, True, "1", None, math.nan, 10**400)] == [1.0, 0.5] + 5 * [None]
