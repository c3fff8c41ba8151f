"""Tables as CSV and Markdown."""

from __future__ import annotations

import csv
import io

import hypothesis.strategies as st
import pytest
from hypothesis import given

from recrun.report.files.text_tables import cell, csv_table, in_markdown, markdown_table

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.text(),
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=4))
def test_csv_gives_every_cell_back_and_no_formula(rows: list[list[object]]) -> None:
    text = csv_table(["a", "b"], rows)
    assert all(line.isprintable() for line in text.splitlines())
    head, *found = csv.reader(io.StringIO(text, newline=""))
    assert head == ["a", "b"]
    for row, read in zip(rows, found, strict=True):
        for value, given_back in zip(row, read, strict=True):
            assert given_back.removeprefix("'") == cell(value).removeprefix("'")
            assert not (isinstance(value, str) and given_back.startswith(("=", "+", "-", "@")))
            assert not isinstance(value, float) or float(given_back) == value


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_row_of_markdown_is_one_line_with_as_many_cells_as_the_head(texts: list[str]) -> None:
    lines = markdown_table(["h"] * len(texts), [texts]).split("\n")
    assert len(lines) == 4
    for line in lines[:3]:
        assert line.replace("\\\\", "").replace("\\|", "").count("|") == len(texts) + 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("best_epoch", "best_epoch"),
        ("_a_ __b__", r"\_a\_ \_\_b\_\_"),
        ("a & <b>", "a &amp; &lt;b&gt;"),
        ("![x](http://y)", r"!\[x\](http://y)"),
        ("a\n| b", r"a\\n\| b"),
    ],
)
def test_markup_is_shown_as_text(text: str, shown: str) -> None:
    assert in_markdown(text) == shown
