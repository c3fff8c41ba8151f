"""Whether all rows have as many columns, and which one is at fault when not."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.data.formats import find_bad_row as module
from recrun.data.formats.delimited import read_csv
from recrun.data.formats.find_bad_row import TextShape, is_rectangular, row_lines
from recrun.data.formats.table import Layout
from recrun.errors import DataError

FIELDS = st.sampled_from(["a", "1", "", "bb", "longer"])
QUOTED = st.sampled_from(['"x,y"', '"x"', '"a\nb"', '""', '"say ""x, y"""'])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 7)


@given(
    data=st.data(),
    quoted=st.booleans(),
    n_columns=st.integers(2, 3),
    newline=st.sampled_from(["\n", "\r\n"]),
    has_end=st.booleans(),
)
def test_what_is_called_rectangular_has_as_many_fields_in_every_row(
    data: st.DataObject, quoted: bool, n_columns: int, newline: str, has_end: bool
) -> None:
    field = st.one_of(FIELDS, QUOTED) if quoted else FIELDS
    row = st.lists(field, min_size=n_columns, max_size=n_columns) | st.lists(field, min_size=1, max_size=4)
    lines = data.draw(st.lists(row.map(",".join) | st.just(""), max_size=5))
    text = newline.join(lines) + newline * has_end
    shape = TextShape(",", False, quoted, "utf-8", n_columns, {})
    reader = csv.reader(io.StringIO(text, newline=""), quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
    assert is_rectangular(text.encode(), shape) <= all(len(fields) == n_columns for fields in reader if fields)


def test_a_text_without_quotes_is_told_exactly() -> None:
    shape = TextShape(",", False, False, "utf-8", 3, {})
    assert is_rectangular(b"a,b,c\n\r\n\nd,e,f", shape)
    assert not is_rectangular(b"a,b\nc,d,e,f\n", shape)
    assert not is_rectangular(b"a,b,c\nd", shape)


@pytest.mark.parametrize("separator", [",", "::", "¦"])
def test_one_column_too_many_here_and_one_too_few_there_do_not_pass(tmp_path: Path, separator: str) -> None:
    text = "title,user,item\na,1,2\nb,c,3,4\n5,6\n".replace(",", separator)
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"x\.csv:3: expected 3 columns, found 4"):
        read_csv(tmp_path / "x.csv", Layout(separator=separator))


def test_a_row_with_too_many_columns_does_not_hide_among_quotes(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('title,user,item\n"a, b",1,2\nc, d,3,4\n')
    with pytest.raises(DataError, match=r"x\.csv:3: expected 3 columns, found 4"):
        read_csv(tmp_path / "x.csv", Layout())


def test_times_are_dates_in_all_rows_or_in_none(tmp_path: Path) -> None:
    for first, second in (("978300000", "2001-01-01"), ("2001-01-01", "978300000")):
        (tmp_path / "x.csv").write_text(f"user,item,time\n1,2,{first}\n1,3,{second}\n")
        with pytest.raises(
            DataError, match=r"x\.csv:3: expected (a number|a date in the form %Y-%m-%d, as most have,) as timestamp"
        ):
            read_csv(tmp_path / "x.csv", Layout())


def test_the_one_date_that_is_none_is_named_among_many(tmp_path: Path) -> None:
    days = ["2024-01-01", "2024-01-02", "2024-13-45", "2024-01-04"]
    (tmp_path / "x.csv").write_text("user,item,date\n" + "".join(f"1,{i},{day}\n" for i, day in enumerate(days)))
    with pytest.raises(
        DataError, match=r"x\.csv:4: expected a date in the form %Y-%m-%d, .* found '2024-13-45'"
    ) as caught:
        read_csv(tmp_path / "x.csv", Layout())
    assert [row.line for row in caught.value.rows()] == [4]


@given(
    rows=st.lists(st.lists(FIELDS | QUOTED, min_size=2, max_size=3).map(",".join), max_size=6),
    newline=st.sampled_from(["\n", "\r\n"]),
    has_end=st.booleans(),
)
def test_rows_begin_where_they_begin_for_the_csv_module(rows: list[str], newline: str, has_end: bool) -> None:
    text = newline.join(rows) + newline * (has_end and bool(rows))
    reader = csv.reader(io.StringIO(text, newline=""))
    starts, before = [], 0
    for _ in reader:
        # The line ends that stand within quotes are "\n" here, and each of them is a line of the reader.
        starts.append(before + 1)
        before = reader.line_num
    assert row_lines(text.encode(), 0).tolist() == starts
    assert row_lines(text.encode(), 1).tolist() == starts[1:]


HEAD = 'title,user,item,rating,time\n"one\nline and\nanother",1,2,3,2024-01-01\n'


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x,1,3,3,2024-13-45", "expected a date in the form %Y-%m-%d, as most have"),
        ("x,1,3,bad,2024-01-01", "expected a number as rating"),
        ("x,1,3,inf,2024-01-01", "expected a finite number as rating"),
        ("x,1,3,,2024-01-01", "the rating is missing"),
        ("x,,3,3,2024-01-01", "the user is missing"),
        ("x,-1,3,3,2024-01-01", "expected a user >= 0, found -1"),
        ("x,01,3,3,2024-01-01", "the user is '01', which differs from '1' \\(line 2\\) only by leading zeros"),
        ("x,1,3,3,2150-01-01", "expected a date from 1900 to 2099"),
        ("x,1,3,3", "expected 5 columns, found 4"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_the_line_is_right_where_values_span_lines(tmp_path: Path, row: str, message: str, encoding: str) -> None:
    (tmp_path / "x.csv").write_text(HEAD + "y,1,4,3,2024-01-02\n\n" + row + "\n", encoding=encoding)
    with pytest.raises(DataError, match=rf"x\.csv:7: .*{message}"):
        read_csv(tmp_path / "x.csv", Layout(encoding=encoding))


def test_the_lines_of_a_good_file_whose_values_span_lines_are_right(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(HEAD + "\ny,1,4,3,2024-01-02\n")
    table = read_csv(tmp_path / "x.csv", Layout())
    assert [table.line_of(row) for row in range(2)] == [2, 6]
    assert table.skipped["blank-lines"].tolist() == [5]
