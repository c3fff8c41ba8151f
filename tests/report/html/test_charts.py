"""Figures: what they say of themselves, and that what they draw are the values that they were given."""

from __future__ import annotations

import math
import re

from lxml import etree

from recrun.report.html.charts import Difference, Line, bars, differences, lines
from recrun.report.html.element import Element, render
from recrun.report.html.plots import Spot, Track, parallel, spots


def _drawn(figure: Element) -> etree._Element:
    return etree.fromstring(render(figure).replace("hidden ", ""))


def _marks(figure: Element) -> list[tuple[str, list[float]]]:
    """Return the text of each mark, and the numbers of its place."""
    found = _drawn(figure).xpath("//*[contains(@class, 'mark')]")
    return [
        (each.findtext("title"), [float(x) for x in re.findall(r"-?[\d.]+", each.get("transform") or each.get("d"))])
        for each in found
    ]


def test_a_figure_is_an_image_with_a_title_and_a_description() -> None:
    drawn = _drawn(lines("c", "loss", "falls", ("epoch", "loss"), [Line("a", 0, [(0, 1.0), (1, 0.5)])], ""))
    svg = drawn.xpath("//svg")[0]
    assert svg.get("role") == "img"
    assert svg.xpath(f"//*[@id='{svg.get('aria-labelledby')}']/text()") == ["loss"]
    assert svg.xpath(f"//*[@id='{svg.get('aria-describedby')}']/text()") == ["falls"]


def test_a_line_has_its_values_and_a_gap_where_there_is_none() -> None:
    points = [(0, 1.0), (1, math.nan), (2, 0.25), (3, 0.125)]
    path = _drawn(lines("c", "t", "d", ("epoch", "loss"), [Line("run a", 9, points)], "")).xpath(
        "//path[@data-values]"
    )[0]
    assert path.get("data-values") == "0:1 2:0.25 3:0.125"
    assert path.get("class") == "line s1 d0"
    assert re.sub(r"[^ML]", "", path.get("d")) == "MML"
    assert path.findtext("title") == "run a"


def test_lines_of_the_same_colour_differ_in_their_dashes() -> None:
    drawn = _drawn(lines("c", "t", "d", ("x", "y"), [Line(str(n), n, [(0, 1.0), (1, n)]) for n in range(32)], ""))
    assert len({path.get("class") for path in drawn.xpath("//path[@data-values]")}) == 32


def test_bars_are_as_long_as_their_values_and_say_them() -> None:
    figure = bars(
        "b", "t", "d", "ndcg@20", ["few", "many"], [{0: 0.1, 1: 0.2}, {0: None, 1: 0.4}], ["a", "b"], "{:.2f}".format
    )
    marks = dict(_marks(figure))
    assert list(marks) == ["a, few: 0.10", "b, few: 0.20", "b, many: 0.40"]
    length = {tip: round(numbers[2] - numbers[0], 1) for tip, numbers in marks.items()}
    assert round(length["b, many: 0.40"] / length["a, few: 0.10"], 1) == 4
    assert "1: undefined" in _drawn(figure).xpath("//text/text()")


def test_a_difference_is_drawn_with_its_interval_beside_the_line_of_zero() -> None:
    rows = [Difference("a", 1, -0.2, -0.3, -0.1), Difference("b", 2, 0.2, None, None)]
    figure = differences("d", "t", "d", "difference", rows, "{:+.1f}".format, "")
    (first, left), (second, right) = _marks(figure)
    assert (first, second) == ("a: -0.2 [-0.3, -0.1]", "b: +0.2")
    zero = float(re.findall(r"M([\d.]+)", _drawn(figure).xpath("//path[@class='zero']/@d")[0])[0])
    assert left[0] < zero < right[0]
    assert abs((zero - left[0]) - (right[0] - zero)) < 0.3
    assert len(_drawn(figure).xpath("//path[contains(@class, 'whisker')]")) == 1


def test_points_over_texts_stand_above_their_texts() -> None:
    drawn = [Spot("adam", 0.1, 0, "a"), Spot("sgd", 0.2, 0, "b"), Spot("adam", 0.3, 0, "c")]
    marks = dict(_marks(spots("s", "t", "d", ("optimizer", "ndcg"), drawn)))
    assert marks["a"][0] == marks["c"][0] < marks["b"][0]
    assert marks["a"][1] > marks["b"][1] > marks["c"][1]


def test_few_numbers_of_an_axis_are_written_as_they_are() -> None:
    drawn = [Spot(x, 0.1 * x, 0, "") for x in (4, 8, 16)]
    ticks = _drawn(spots("s", "t", "d", ("dim", "ndcg"), drawn)).xpath("//text[@class='tick']/text()")
    assert {"4", "8", "16"} <= set(ticks)


def test_the_best_of_parallel_lines_is_drawn_last_and_differs_by_more_than_colour() -> None:
    tracks = [Track([0.1, "a", 0.5], 4, True, "best"), Track([0.01, "b", 0.1], 0, False, "other")]
    figure = parallel("p", "t", "d", ["lr", "loss", "ndcg"], tracks, "")
    assert [tip for tip, _ in _marks(figure)] == ["other", "best"]
    assert _drawn(figure).xpath("//path[contains(@class, 'best')]/@class") == ["mark track q4 best"]
