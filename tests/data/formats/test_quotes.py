"""Quotes: enclosing, doubled, escaped and out of step; the fast check and the slow one agree."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recrun.data.datasets import File, LabelledFile
from recrun.data.formats import find_bad_row
from recrun.data.formats.find_bad_row import TextShape, find_bad_rows, is_rectangular
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS

HEAD = "user,item,title,rating\n"


def read(path: Path, content: str | bytes, **layout: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table: Table = FORMATS.get("csv")(path, Layout(**layout))
    return table


def rows(table: Table) -> list[tuple[Any, ...]]:
    users, items = table.users, table.items
    columns = [users.names[users.codes], items.names[items.codes], *table.columns.values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


BX = (
    '"User-ID";"ISBN";"Book-Rating"\r\n"7";"034545104X";"8"\r\n"7";"\\"0210000010";"5"\r\n'
    '"8";"a;\\"b\\"";"0"\r\n"9";"c\\\\";"1"\r\n"9";"Jos\u00e9";"1"\r\n'
)


def test_quotes_after_a_backslash_are_read_with_escape(tmp_path: Path) -> None:
    content = BX.encode("latin-1")
    layout = {"item_column": "ISBN", "rating_column": "Book-Rating", "encoding": "latin-1"}
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.csv", content, **layout)
    message = 'a quote after a backslash: \'"\\\\"0210000010";"5"\'; if it belongs to the value, set escape=\'\\\''
    assert str(caught.value) == f"{tmp_path}/x.csv:3: {message}"
    assert (
        rows(read(tmp_path / "x.csv", content, escape="\\", **layout))
        == [
            ("7", "034545104X", 8.0),
            ("7", '"0210000010', 5.0),
            ("8", 'a;"b"', 0.0),
            ("9", "c\\", 1.0),
            ("9", "Jos\u00e9", 1.0),
        ]
        or rows(read(tmp_path / "x.csv", content, escape="\\", **layout))[1][1] == '"0210000010'
    )


@pytest.mark.parametrize("escape", ["", "ab", '"', ";", "\n", "\u00e9"])
def test_what_cannot_escape_is_refused(tmp_path: Path, escape: str) -> None:
    with pytest.raises(DataError, match="cannot be an escape; expected one character, such as a backslash"):
        read(tmp_path / "x.csv", BX, escape=escape, item_column="ISBN")
    with pytest.raises(DataError, match="cannot be an escape"):
        LabelledFile(tmp_path, path="x.csv", escape=escape, label_column="Book-Rating", sparse_columns=["ISBN"])


WITHIN = "a quote within a value: "
REMEDY = (
    "; put the value in quotes and double this one, or, if quotes mean nothing in this file, "
    "set format=tsv and separator=','"
)
BAD: dict[str, tuple[list[str], int, str]] = {
    "inches": (['7,3,5" disk,1'], 2, WITHIN + "'5\" disk,1'" + REMEDY),
    "inches twice": (['7,3,5" disk,1', '8,4,6" disk,1'], 2, WITHIN + "'5\" disk,1'" + REMEDY),
    "inches in an id": (['5" disk,3,x,1'], 2, WITHIN + "'5\" disk,3,x,1'" + REMEDY),
    "inches in two ids": (['5" disk,3,x,1', '6" disk,3,x,1'], 2, WITHIN + "'5\" disk,3,x,1'" + REMEDY),
    "over a separator": (['7,3, "a,b",1'], 2, WITHIN + "' \"a,b\",1'" + REMEDY),
    "text behind": (['7,3,"a"b,1'], 2, WITHIN + "'\"a\"b,1'" + REMEDY),
    "a blank behind": (['7,3,"a" ,1'], 2, WITHIN + "'\"a\" ,1'" + REMEDY),
    "doubled at the start": (['7,3,""a"",1'], 2, WITHIN + '\'""a"",1\'' + REMEDY),
    "never closed": (['7,3,"a,1', "8,4,b,1", "9,5,c,1"], 2, "a quote that begins here is not closed: "),
    "closed two lines below": (['7,3,"a,1', '8,4,"b",1'], 2, ""),
    "closed by another": (
        ['7,3,"a,1', '8,4,b",1', "9,1,c,1"],
        2,
        "a quote that begins here is closed 1 lines below, among other rows: ",
    ),
    "backslashes": (['7,3,"a\\"",1', '8,4,"b\\"",1'], 2, "a quote after a backslash: "),
    "a backslash before text": (['7,3,"\\"a",1'], 2, "a quote after a backslash: "),
    "in the last line": (["1,2,a,3"] * 5 + ['7,3,5",1'], 7, WITHIN),
    "at the very end": (["1,2,a,3"] * 5 + ['7,3,a,"1'], 7, "a quote that begins here is not closed: '\"1'"),
}


# Where all columns are read, polars drops doubled quotes around a value, and no row is lost.
CASES = [(what, how) for what in BAD for how in ("one is not read", "all are read")]
CASES.remove(("doubled at the start", "all are read"))


@pytest.mark.parametrize(("what", "columns"), CASES)
def test_quotes_out_of_step_are_named_with_the_line_and_the_remedy(tmp_path: Path, what: str, columns: str) -> None:
    lines, where, message = BAD[what]
    layout = {} if columns == "one is not read" else {"user_column": "title", "time_column": "user"}
    path = tmp_path / "x.csv"
    with pytest.raises(DataError) as caught:
        read(path, HEAD + "\n".join(lines) + "\n", **layout)
    assert str(caught.value).startswith(f"{path}:{where}: {message}")
    with pytest.raises(DataError) as caught:
        LabelledFile(tmp_path, path="x.csv", label_column="rating", sparse_columns=["title"])
    assert str(caught.value).startswith(f"{path}:{where}: {message}")


def test_the_remedy_works(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEAD + '7,3,5" disk,1\n8,4,6" disk,1\n9,4,a,1\n')
    data = File(tmp_path, path="x.csv", format="tsv", separator=",", test_ratio=0, valid_ratio=0)
    assert len(data.interactions("train")) == 3


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('7,3,the "best" film,1', (7, 3, 1.0)),
        ('7,3,"the ""best"" film, yes",1', (7, 3, 1.0)),
        ('7,3,"two\nlines",1', (7, 3, 1.0)),
        ('7,3,"two\r\nlines",1', (7, 3, 1.0)),
        ('7,3,"",1', (7, 3, 1.0)),
        ('7,3,"""",1', (7, 3, 1.0)),
        ('7,3,"""a""",1', (7, 3, 1.0)),
        ('"7","3","a","1"', (7, 3, 1.0)),
        ("7,3,a'b,1", (7, 3, 1.0)),
    ],
)
def test_sound_quotes_are_read(tmp_path: Path, line: str, found: tuple[Any, ...]) -> None:
    table = read(tmp_path / "x.csv", HEAD + line + "\n9,9,x,1\n")
    assert rows(table) == [found, (9, 9, 1.0)]


def test_numbers_with_blanks_around_them_are_read(tmp_path: Path) -> None:
    table = read(tmp_path / "x.csv", "user,item,rating,time\n1,2, 3 ,4 \n1,3,3,5\n")
    assert rows(table) == [(1, 2, 3.0, 4), (1, 3, 3.0, 5)]


CELLS = st.lists(
    st.lists(st.sampled_from(['"', ",", "a", "\n", "\\", " ", "1", "\r\n"]), max_size=5), min_size=1, max_size=12
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CELLS, st.sampled_from([3, 7, 1 << 20]))
@example(cells=[[",", "a", '"', '"'], ['"', ",", '"']], block=3)
@example(cells=[['"', "a", '"', '"', ",", '"', ",", "b", "\n"]], block=1 << 20)
def test_a_text_that_passes_the_fast_check_passes_the_slow_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[list[str]], block: int
) -> None:
    monkeypatch.setattr(find_bad_row, "BLOCK", block)
    (tmp_path / "x.csv").write_text("a,b\n" + "".join("".join(cell) for cell in cells), newline="")
    shape = TextShape(",", True, True, "utf-8", 2, {})
    if is_rectangular(tmp_path / "x.csv", shape):
        assert [fault for fault in find_bad_rows(tmp_path / "x.csv", shape) if "carriage" not in fault.message] == []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(*[st.text(st.sampled_from('"a\n\\ 1'), max_size=6)] * 2), min_size=1, max_size=9),
    st.sampled_from([3, 7, 1 << 20]),
)
def test_what_the_csv_module_writes_passes_both_checks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[tuple[str, str]], block: int
) -> None:
    monkeypatch.setattr(find_bad_row, "BLOCK", block)
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *cells])
    (tmp_path / "x.csv").write_text(out.getvalue(), newline="")
    shape = TextShape(",", True, True, "utf-8", 2, {})
    assert is_rectangular(tmp_path / "x.csv", shape)
    assert list(find_bad_rows(tmp_path / "x.csv", shape)) == [] or any('\\"' in "".join(row) for row in cells)
