"""Tables: what a script sorts by, what is marked, and how much is shown."""

from __future__ import annotations

from lxml import html

from recrun.report.html.element import render
from recrun.report.html.table import Cell, numeric, table


def _drawn(*rows: list[Cell], most: int = 9) -> html.HtmlElement:
    return html.fromstring(render(table("t", "Caption.", ["group", "ndcg@20"], rows, most, "groups")))


def test_a_table_has_a_caption_scopes_and_a_box_that_names_it() -> None:
    box = _drawn([Cell("a"), numeric("0.1", 0.1)], [Cell("b"), numeric("0.2", 0.2)])
    assert box.xpath("//caption/text()") == ["Caption."]
    assert box.xpath("//thead//th/@scope") == ["col", "col"]
    assert box.xpath("//tbody//th/@scope") == ["row", "row"]
    assert (box.get("role"), box.get("tabindex"), box.get("aria-labelledby")) == ("region", "0", "t-caption")


def test_numbers_are_aligned_and_sorted_by_their_unrounded_values() -> None:
    box = _drawn([Cell("a"), numeric("0.1000", 0.1 + 1e-12)], [Cell("b"), numeric("-", None)])
    assert box.xpath("//td/@class") == ["n", "n"]
    assert [cell.get("data-value") for cell in box.xpath("//td")] == [repr(0.1 + 1e-12), None]
    assert [head.get("class") for head in box.xpath("//thead//th")] == [None, "n"]


def test_a_value_that_is_not_finite_is_none_to_sort_by() -> None:
    assert [numeric("-", value).value for value in (float("nan"), float("inf"), None)] == [None, None, None]


def test_the_best_value_is_bold_and_what_follows_it_is_not() -> None:
    box = _drawn([Cell("a"), numeric("0.1", 0.1, is_best=True, more="(0.02)", mark="†")])
    assert box.xpath("//td/b/text()") == ["0.1"]
    assert box.xpath("//td")[0].text_content() == "0.1 (0.02) †"


def test_what_is_too_long_is_cut_and_the_caption_counts_it() -> None:
    box = _drawn(*([Cell(f"g{n}"), numeric("1", 1)] for n in range(1200)), most=5)
    assert len(box.xpath("//tbody/tr")) == 5
    assert box.xpath("//caption/text()") == ["Caption. The first 5 of 1,200 groups are shown."]
    assert len(_drawn([Cell("x" * 9000), numeric("1", 1)]).xpath("//tbody//th")[0].text_content()) == 160


def test_one_row_is_not_sorted() -> None:
    assert _drawn([Cell("a"), numeric("1", 1)]).xpath("//table/@class") == []
