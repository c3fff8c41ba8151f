"""Spaces of all kinds, for the tests of searches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from recrun.sweep.search.sampler import Sampler, Told
from recrun.sweep.space.dimensions import Dimension, Draw, Interval, Options, Space


def options(key: str, *values: str) -> Dimension:
    """Return a dimension of one setting."""
    return Dimension(key, Options(tuple({key: value} for value in values)))


def interval(key: str, low: float, high: float, **kwargs: Any) -> Dimension:
    """Return a dimension of numbers."""
    return Dimension(key, Interval(key, low, high, **kwargs))


CONDITIONAL = Space(
    (
        options("optimizer", "adam", "sgd", "adagrad"),
        interval("lr", 1e-4, 1e-1, log=True),
        Dimension("beta2", Interval("beta2", 0.9, 0.999), ("optimizer", 0)),
        Dimension("momentum", Interval("momentum", 0.0, 0.9, step=0.1), ("optimizer", 1)),
        Dimension("nesterov", Options(({"nesterov": "true"}, {"nesterov": "false"})), ("optimizer", 1)),
    )
)
FLAT = Space((interval("x", -1.0, 1.0), interval("y", 1e-3, 1.0, log=True), interval("n", 1, 6, is_integer=True)))
FINITE = Space(
    (
        options("a", "1", "2", "3"),
        Dimension("b", Interval("b", 1, 2, is_integer=True), ("a", 0)),
        Dimension("c", Interval("c", 0.0, 0.2, step=0.1), ("a", 2)),
    )
)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Draw a space with one to four dimensions, some of which may apply only sometimes."""
    dimensions: list[Dimension] = []
    for number in range(draw(st.integers(1, 4))):
        parents = [(each.name, len(each.values.options)) for each in dimensions if isinstance(each.values, Options)]
        when = None
        if parents and draw(st.booleans()):
            name, count = draw(st.sampled_from(parents))
            when = (name, draw(st.integers(0, count - 1)))
        dimensions.append(Dimension(f"k{number}", draw(_values(f"k{number}")), when))
    return Space(tuple(dimensions))


def _values(key: str) -> st.SearchStrategy[Options | Interval]:
    @st.composite
    def ranges(draw: st.DrawFn) -> Interval:
        log = draw(st.booleans())
        if draw(st.booleans()):
            low = draw(st.integers(1 if log else -5, 9))
            step = None if log else draw(st.sampled_from([None, 1, 2, 3]))
            return Interval(key, low, low + draw(st.integers(0, 40)), step=step, log=log, is_integer=True)
        low = draw(st.sampled_from([1e-5, 0.1, 1.0] if log else [-2.0, 0.0, 0.1]))
        high = low + draw(st.sampled_from([0.05, 0.5, 0.7, 30.0]))
        step = None if log else draw(st.sampled_from([None, 0.05, 0.1, 0.25]))
        return Interval(key, low, high, step=step, log=log)

    some = st.integers(1, 4).map(lambda count: Options(tuple({key: f"v{number}"} for number in range(count))))
    return st.one_of(some, ranges())


def check_draw(space: Space, draw: Draw) -> None:
    """Assert that a draw has a value for each dimension that applies, all of which belong to their dimensions."""
    assert list(draw) == [each.name for each in space.dimensions if space.applies(each, draw)]
    for dimension in space.dimensions:
        if dimension.name not in draw:
            continue
        value, values = draw[dimension.name], dimension.values
        if isinstance(values, Options):
            assert type(value) is int
            assert 0 <= value < len(values.options)
            continue
        assert values.low <= value <= values.high
        assert values.value(value) == value
        assert type(value) is int if values.is_integer else isinstance(value, float)
        if values.n_values is not None:
            assert value in set(values.all_values())


def study(sampler: Sampler, value: Callable[[Draw], tuple[float, ...]], n_points: int) -> list[Told]:
    """Return the points of a study whose values are a function of the draw, each known before the next is drawn."""
    told: list[Told] = []
    while len(told) < n_points:
        draw = sampler.draw(told)
        if draw is None:
            break
        told.append(Told(draw, value(draw)))
    return told
