"""Elements: every text is shown as it is, and nothing that could run or load something can be built."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from recrun.report.html.element import Link, element, escaped, number, render, shortened

HOSTILE = [
    "<script>alert(1)</script>",
    "</title>",
    '" onload="x',
    "' x",
    "javascript:alert(1)",
    "a&lt;b",
    "]]>",
    "<!--",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_and_adds_no_element(text: str) -> None:
    found = html.fromstring(render(element("p", text, title=text, data_tip=text)))
    assert (found.tag, found.text, len(found)) == ("p", text, 0)
    assert dict(found.attrib) == {"title": text, "data-tip": text}


@given(st.text())
def test_no_text_leaves_its_element(text: str) -> None:
    written = render(element("p", element("b", text), title=text))
    assert written.count("<") == written.count(">") == 4
    assert written.count('"') == 2 or not text


def test_characters_that_are_not_shown_or_reorder_text_are_made_visible() -> None:
    assert escaped("a\u202eb\x1b[31m\x00\udcff\n") == "a\\u202eb\\x1b[31m\\x00\\udcff\\n"
    escaped("\u2066\ufeff").encode("utf-8")


@pytest.mark.parametrize(
    "attributes", [{"onclick": "x"}, {"style": "x"}, {"href": "x"}, {"src": "x"}, {"OnLoad": "x"}, {"srcdoc": "x"}]
)
def test_an_attribute_that_could_run_or_load_something_is_refused(attributes: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        element("p", **attributes)


@pytest.mark.parametrize("name", ["script", "style", "iframe", "object", "base", "form", "b>", "", "foreignObject"])
def test_an_element_that_could_run_or_load_something_is_refused(name: str) -> None:
    with pytest.raises(AssertionError):
        element(name)


def test_attributes_are_written_as_html_has_them() -> None:
    drawn = element("a", "x", link=Link.to_place("runs"), class_="n", data_value=0.25, hidden=True, id=None, tabindex=0)
    assert render(drawn) == '<a class="n" data-value="0.2" hidden tabindex="0" href="#runs">x</a>'
    assert render(element("br")) == "<br>"
    assert render(element("svg", viewBox="0 0 1 1")) == '<svg viewBox="0 0 1 1"></svg>'


@pytest.mark.parametrize("name", ["plain", "javascript:alert(1)", "a b", "a#b?c", 'quote"', "über", "%41"])
def test_a_link_leads_to_the_path_and_is_never_a_scheme(tmp_path: Path, name: str) -> None:
    link = Link.to_path(str(tmp_path / "runs" / name), str(tmp_path))
    found = urlsplit(link.address)
    assert (found.scheme, found.netloc, found.query, found.fragment) == ("", "", "", "")
    assert unquote(found.path) == f"./runs/{name}"


def test_a_link_to_a_name_that_is_not_unicode_keeps_its_bytes(tmp_path: Path) -> None:
    link = Link.to_path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"), str(tmp_path))
    assert link.address == "./%FF"


def test_coordinates_are_short() -> None:
    assert [number(value) for value in (1.0, 0.04, -0.04, 12.345, 100.0)] == ["1", "0", "0", "12.3", "100"]


@given(st.text(max_size=50), st.integers(min_value=4, max_value=60))
def test_a_shortened_text_has_at_most_so_many_characters_and_both_ends(text: str, longest: int) -> None:
    shown = shortened(text, longest)
    assert len(shown) <= max(longest, 0)
    assert shown == text or (text.startswith(shown.partition("…")[0]) and text.endswith(shown.rpartition("…")[2]))
