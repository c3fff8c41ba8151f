"""The first lines of a text: long ones, cut-off ones, and ends that are no newline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.data.datasets import LabelledFile
from recrun.data.describe.files import describe_path
from recrun.data.formats import first_lines
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS


def read(path: Path, content: str | bytes, format: str = "csv", **layout: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table: Table = FORMATS.get(format)(path, Layout(**layout))
    return table


def wide(n_columns: int, ids_first: bool, separator: str = ",") -> str:
    others = [f"column_with_a_long_name_{i}" for i in range(n_columns)]
    ids = ["user", "item", "rating"]
    lines = [[*ids, *others] if ids_first else [*others, *ids]]
    for row in range(8):
        values = [str(row % 3), str(row), "3"]
        lines.append([*values, *["0"] * n_columns] if ids_first else [*["0"] * n_columns, *values])
    return "".join(separator.join(line) + "\n" for line in lines)


@pytest.mark.parametrize("ids_first", [True, False])
@pytest.mark.parametrize("n_columns", [2_000, 3_000, 20_000])
def test_a_header_row_may_be_long(tmp_path: Path, n_columns: int, ids_first: bool) -> None:
    table = read(tmp_path / "x.csv", wide(n_columns, ids_first))
    assert (len(table), table.users.names.tolist()) == (8, [0, 1, 2])
    assert describe_path(tmp_path / "x.csv", {}).is_usable


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_a_long_header_row_is_read_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    assert len(read(tmp_path / "x.tsv", wide(4_000, True, "\t").encode(encoding), "tsv", encoding=encoding)) == 8


def test_labelled_rows_may_have_a_long_header_row(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(wide(4_000, True))
    settings = {"label_column": "item", "label_threshold": 4, "sparse_columns": ["column_with_a_long_name_1?"]}
    data = LabelledFile(tmp_path, path="x.csv", valid_ratio=0, **settings)
    assert len(data.interactions("train")) + len(data.interactions("test")) == 8


def test_a_second_line_may_be_long_and_stand_below_blank_ones(tmp_path: Path) -> None:
    text = "user,item,title\n\n\n1,2," + "x" * 200_000 + "\n3,4,y\n"
    table = read(tmp_path / "x.csv", text)
    assert [table.line_of(row) for row in range(len(table))] == [4, 5]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["user,item", "", "1,2", "3,4"], [3, 4]),
        (["user,item", "", "", "1,2", "", "3,4"], [4, 6]),
        (["", "", "user,item", "1,2", "3,4"], [4, 5]),
        (["", "user,item", "", "1,2", "3,4", "", ""], [4, 5]),
        (["", "", "1,2", "", "3,4"], [3, 5]),
    ],
)
def test_empty_lines_above_and_below_the_header_row_do_no_harm(
    tmp_path: Path, lines: list[str], numbers: list[int], end: str
) -> None:
    table = read(tmp_path / "x.csv", end.join(lines) + end)
    assert (table.users.names.tolist(), table.items.names.tolist()) == ([1, 3], [2, 4])
    assert [table.line_of(row) for row in (0, 1)] == numbers
    with pytest.raises(DataError, match=rf"x\.csv:{len(lines) + 1}: expected 2 columns, found 1"):
        read(tmp_path / "x.csv", end.join([*lines, "5"]) + end)


@pytest.mark.parametrize(
    ("content", "line"), [("user,item," + "x" * 9_000, 1), ("user,item\n1," + "x" * 9_000 + "\n", 2)]
)
def test_a_line_that_does_not_end_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, line: int
) -> None:
    monkeypatch.setattr(first_lines, "LONGEST", 1 << 12)
    monkeypatch.setattr(first_lines, "_SAMPLE", 1 << 8)
    with pytest.raises(DataError, match=rf"x\.csv:{line}: the line is longer than 0 MiB; is this a text of lines\?"):
        read(tmp_path / "x.csv", content)


ROWS = "user,item,rating\n1,2,3\n4,5,3\n"
ENDS = "a carriage return within a line; lines must end with a newline"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (ROWS.replace("\n", "\r"), 1),
        (ROWS.replace("\n", "\r").rstrip("\r"), 1),
        (ROWS.replace("\n", "\r\r\n"), 1),
        (ROWS.replace("\n", "\r", 1), 1),
        (ROWS.replace("3\n4", "3\r4"), 2),
        (ROWS + "6,7,3\r8,9,3\n", 4),
        (ROWS + "6,7,3\r8,9,3\r", 4),
        ("user,item\na,b\nc\rd,e\n", 3),
        ('user,item\na,b\nc,"d"\re,f\n', 3),
        ("user\titem\na\tb\nc\td\re\tf\n", 3),
    ],
)
@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_carriage_returns_that_end_lines_are_named(tmp_path: Path, content: str, where: int, format: str) -> None:
    content = content.replace(",", "\t") if format == "tsv" and '"' not in content else content
    layout = {"separator": ","} if '"' in content else {}
    with pytest.raises(DataError) as caught:
        read(tmp_path / f"x.{format}", content, format, **layout)
    assert str(caught.value).startswith(f"{tmp_path}/x.{format}:{where}: {ENDS}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ROWS + "4,5", r":4: expected 3 columns, found 2: '4,5'; this last line has no end: was the file cut off\?"),
        (ROWS + "4,", r":4: expected 3 columns, found 2: '4,'; this last line has no end: was the file cut off\?"),
        (ROWS + "4,5,", r":4: the rating is missing \(column 'rating'\)"),
        (ROWS + '4,"5', r":4: a quote that begins here is not closed: '\"5'"),
        (ROWS + "4,5,3,\n", r":4: expected 3 columns, found 4: '4,5,3,.*; the lines end with a separator"),
        (ROWS + "\f\n", r":4: expected 3 columns, found 1"),
        (ROWS + "\0\0\0\0", r":4: found a byte 0; is the file damaged\?"),
        (ROWS + "4,5\0,3\n", r":4: "),
        (ROWS.replace("1,2", "1\0,2"), r":2: is not utf-8 text: found a byte 0; is the file damaged"),
        (ROWS.replace("item", '"item'), r":1: a quote that begins here is not closed on this line"),
        (ROWS.replace("user,item,rating", "user,item,rating,"), r": expected 4 columns, found 3"),
    ],
)
def test_cut_off_and_damaged_lines_are_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv", content)


def test_a_separator_at_the_end_of_every_line_makes_no_column(tmp_path: Path) -> None:
    assert len(read(tmp_path / "x.csv", "user,item,rating,\n1,2,3,\n4,5,3,\n")) == 2
    table = read(tmp_path / "x.csv", "1,2,3,\n4,5,3,\n")
    assert list(table.columns) == ["rating"]
    assert len(read(tmp_path / "x.csv", "\ufeffuser,item\r\n1,2\r\n")) == 1
