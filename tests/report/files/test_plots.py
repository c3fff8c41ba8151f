from __future__ import annotations

import gc
import io
import logging
import math
import subprocess
import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from recrun.report.files.course import Course
from recrun.report.files.plots import Heading, draw_courses, draw_curves, drawing

HEADING = Heading("bprmf on Synthetic", "mine · 20261128", best_epoch=12)


def _course(values: list[float], split: str = "valid", metric: str = "ndcg@20") -> Course:
    course = Course(split, metric)
    for epoch, value in enumerate(values):
        course.add(epoch, value)
    return course


LOSS = _course([math.exp(-epoch / 8) for epoch in range(30)], "train", "loss")
NDCG = _course([0.2 - abs(epoch - 12) / 100 for epoch in range(30)])


def _curves(*courses: Course, heading: Heading = HEADING) -> tuple[bytes, bytes]:
    with drawing():
        return draw_curves(heading, courses)


def _each(*courses: Course, heading: Heading = HEADING) -> list[bytes]:
    with drawing():
        return [picture for _, picture in draw_courses(heading, courses)]


def _pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return (imread(io.BytesIO(png), format="png")[..., :3] * 255).round().astype(int)


def _shows(png: bytes, color: str) -> bool:
    wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((_pixels(png) == wanted).all(axis=-1).any())


def _texts(svg: bytes) -> list[str]:
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in found]


def test_the_curves_name_the_run_the_axes_and_the_best_epoch():
    png, svg = _curves(LOSS, NDCG)
    texts = _texts(svg)
    for text in ("bprmf on Synthetic", "mine · 20261128", "epoch", "train loss", "valid ndcg@20", "best epoch 12"):
        assert text in texts
    assert texts.count("best epoch 12") == 2
    assert "0.2000" in texts
    assert _shows(png, "#0072B2")
    assert _shows(png, "#D55E00")
    assert _pixels(png).shape == (580, 1760, 3)


def test_a_metric_whose_best_epoch_is_another_says_so():
    texts = _texts(_curves(NDCG, heading=Heading("bprmf", best_epoch=20))[1])
    assert "0.2000 (epoch 12)" in texts
    assert "best epoch 20" in texts


def test_metrics_drawn_into_one_figure_are_drawn_as_if_alone():
    loss, ndcg = _each(LOSS, NDCG)
    assert _each(LOSS, NDCG) == [loss, ndcg]
    assert _shows(loss, "#0072B2")
    assert not _shows(loss, "#D55E00")
    assert _shows(ndcg, "#D55E00")
    assert not _shows(ndcg, "#0072B2")
    auc = _course([epoch / 30 for epoch in range(30)], "test", "auc")
    assert _each(NDCG, auc)[1] == _each(auc, auc)[0]


def test_a_picture_has_the_resolution_of_print():
    from PIL import Image

    for png in (_curves(LOSS, NDCG)[0], *_each(NDCG)):
        with Image.open(io.BytesIO(png)) as picture:
            assert round(picture.info["dpi"][0]) == 200


def test_the_pixels_of_a_picture_are_those_that_matplotlib_writes():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from recrun.report.files.plots import _png

    figure = Figure(figsize=(2, 1))
    canvas = FigureCanvasAgg(figure)
    figure.add_axes((0.2, 0.2, 0.7, 0.7)).plot([1, 3, 2])
    canvas.draw()
    theirs = io.BytesIO()
    canvas.print_png(theirs)
    assert (_pixels(_png(figure)) == _pixels(theirs.getvalue())).all()


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0],
        [0.5, 0.5 + 1e-16],
        [-1e300, 1e300],
        [0.0, 1e-320],
        [math.nan, 0.1, math.nan, 0.3, math.nan],
        [0.1] * 5000,
    ],
    ids=["zero", "rounding", "huge", "tiny", "gaps", "long"],
)
def test_any_values_can_be_drawn(values):
    course = _course(values)
    assert course.is_drawn
    with warnings.catch_warnings(record=True) as caught:
        assert _curves(course)[0].startswith(b"\x89PNG")
        assert len(_each(course)) == 1
    assert not caught


@pytest.mark.parametrize("values", [[], [0.5], [math.nan, math.nan], [math.nan, 0.5]])
def test_a_metric_without_two_finite_values_is_not_drawn(values):
    assert not _course(values).is_drawn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("$x_1$ and \\frac{1}{$", "$x_1$ and \\frac{1}{$"),
        ("日本 data", "□□ data"),
        ("a\x00b\x1b[31m\u202ec\nd", "a b [31m c d"),
        ("\ud800 <b>&amp;--", "<b>&amp;--"),
        ("a" * 99, "a" * 29 + "…"),
    ],
    ids=["mathtext", "glyphs", "control", "markup", "long"],
)
def test_any_text_can_be_a_title(text, shown, caplog):
    with warnings.catch_warnings(record=True) as caught:
        _, svg = _curves(NDCG, heading=Heading(text, text))
        _each(_course([0.1, 0.2], text, text), heading=Heading(text, text))
    assert shown in _texts(svg)
    assert not caught
    assert not caplog.records


def test_the_same_curves_give_the_same_files():
    assert _curves(LOSS, NDCG) == _curves(LOSS, NDCG)


def test_drawing_ignores_the_users_settings_and_restores_all_it_changed():
    import matplotlib

    plain = _each(NDCG)
    level, before = logging.getLogger("matplotlib").level, dict(matplotlib.rcParams)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "axes.facecolor": "black"}):
        assert _each(NDCG) == plain
        assert matplotlib.rcParams["font.size"] == 40
    assert dict(matplotlib.rcParams) == before
    assert logging.getLogger("matplotlib").level == level
    assert gc.isenabled()


def test_drawing_does_not_need_pyplot():
    script = (
        "import sys\nfrom recrun.report.files.course import Course\n"
        "from recrun.report.files.plots import Heading, draw_curves, drawing\n"
        "assert 'matplotlib' not in sys.modules\n"
        "course = Course('valid', 'auc')\ncourse.add(0, 0.1)\ncourse.add(1, 0.2)\n"
        "with drawing():\n    draw_curves(Heading('x'), [course])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
