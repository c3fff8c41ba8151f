from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest

from recrun.report.files.plots import plot_course


def _pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(png), format="png")[..., :3]


def _has_red(png: bytes) -> bool:
    pixels = _pixels(png)
    return bool(((pixels[..., 0] > 0.8) & (pixels[..., 1] < 0.2)).any())


@pytest.mark.parametrize("points", [[(20, 0.1)], [(0, 0.1), (5, math.nan), (10, 0.3), (15, math.inf)]])
def test_the_best_point_is_marked_with_a_star(points):
    best = next(point for point in reversed(points) if math.isfinite(point[1]))
    assert _has_red(plot_course("valid recall@20", points, best, chosen=best[0]))
    assert not _has_red(plot_course("valid recall@20", points))


def test_a_course_without_a_finite_value_is_drawn_too():
    assert plot_course("valid auc", [(0, math.nan), (1, math.nan)], None, chosen=0).startswith(b"\x89PNG")


def test_the_same_course_gives_the_same_file():
    points = [(epoch, epoch / 7) for epoch in range(100)]
    assert plot_course("train loss", points, points[-1]) == plot_course("train loss", points, points[-1])


def test_pyplot_is_not_needed():
    plot_course("train loss", [(0, 1.0), (1, 0.5)])
    assert "matplotlib.pyplot" not in sys.modules
