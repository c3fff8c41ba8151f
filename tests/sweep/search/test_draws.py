"""Counting draws, and finding new ones."""

from __future__ import annotations

from hypothesis import given, settings

from recrun.sweep.search.draws import is_exhausted, key_of, random_draw
from recrun.sweep.space.dimensions import Dimension, Interval, Options, Space
from tests.sweep.search.spaces import CONDITIONAL, FINITE, check_draw, interval, options, spaces


def test_the_draws_of_a_conditional_space_are_counted_as_a_tree() -> None:
    assert FINITE.n_points == 2 + 1 + 3
    assert CONDITIONAL.n_points is None
    assert Space().n_points == 1


def test_a_dimension_below_a_conditional_one_is_counted_once_for_each_way_to_it() -> None:
    third = Dimension("c", Interval("c", 1, 5, is_integer=True), ("b", 1))
    second = Dimension("b", Options(({"b": "1"}, {"b": "2"})), ("a", 0))
    space = Space((options("a", "1", "2"), second, third, options("d", "1", "2", "3")))
    assert space.n_points == (1 + 5 + 1) * 3 == len(list(space.grid()))


@settings(deadline=None, max_examples=60)
@given(spaces())
def test_the_count_is_the_length_of_the_grid(space: Space) -> None:
    if space.is_countable and (count := space.n_points) is not None and count < 5_000:
        draws = list(space.grid())
        assert len(draws) == count == len({key_of(draw) for draw in draws})
        for draw in draws[:100]:
            check_draw(space, draw)


@settings(deadline=None, max_examples=60)
@given(spaces())
def test_random_draws_go_through_a_finite_space_without_repeating_one(space: Space) -> None:
    seen: set[tuple[tuple[str, float], ...]] = set()
    count = space.n_points
    for number in range(min(30 if count is None else count, 200)):
        draw = random_draw(space, 7, number, seen)
        if draw is None:  # a range so narrow that its numbers are the same in six digits
            assert count is None
            break
        check_draw(space, draw)
        assert key_of(draw) not in seen
        seen.add(key_of(draw))
    if count is not None and count <= 200:
        assert is_exhausted(space, seen)
        assert random_draw(space, 7, count, seen) is None


def test_the_last_draw_of_a_large_finite_space_is_found() -> None:
    space = Space((interval("n", 1, 100, is_integer=True), interval("m", 1, 100, is_integer=True)))
    seen = {key_of(draw) for draw in space.grid()} - {(("m", 17), ("n", 3))}
    assert random_draw(space, 0, len(seen), seen) == {"n": 3, "m": 17}


def test_a_range_that_is_one_number_in_six_digits_ends() -> None:
    space = Space((interval("x", 1.0, 1.0 + 1e-9),))
    seen = {key_of({"x": 1.0})}
    first = random_draw(space, 0, 0, ())
    assert first is not None
    assert abs(first["x"] - 1) < 1e-8
    assert random_draw(space, 0, 1, seen | {key_of(first)}) is None
