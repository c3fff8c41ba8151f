"""The Pareto front against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from recrun.compare.report.tradeoffs import front

VALUES = st.integers(-4, 4).map(float)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=12), st.booleans(), st.booleans())
def test_the_front_holds_the_points_that_no_other_one_dominates(
    points: list[tuple[float, float]], x_falls: bool, y_falls: bool
) -> None:
    def costs(point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * (1 if x_falls else -1), point[1] * (1 if y_falls else -1)

    def is_dominated(point: tuple[float, float]) -> bool:
        mine = costs(point)
        others = [costs(other) for other in points]
        return any(other != mine and other[0] <= mine[0] and other[1] <= mine[1] for other in others)

    assert front(points, x_falls, y_falls) == sorted({point for point in points if not is_dominated(point)})
