"""Blocks of the Netflix Prize and impressions of MIND."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.data.formats import block_formats
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS

NETFLIX = "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n\n8:\n1488844,4,2005-10-19\n"
MIND = (
    "1\tU13740\t11/11/2019 9:05:58 AM\tN55189 N42782\tN55689-1 N35729-0\n"
    "2\tU91836\t11/12/2019 6:11:30 PM\t\tN20678-0 N39317-0 N58114-1 N55689-1\n"
    "3\tU73700\t11/14/2019 7:01:48 AM\tN10732\tN50014-0\n"
    "4\tU13740\t11/11/2019 12:05:58 AM\tN55189\tN20678-1\n"
)


def read(path: Path, content: str, format: str, **layout: Any) -> Table:
    path.write_text(content)
    return read_table(format, path, Layout(**layout))


def rows(table: Table) -> list[tuple[Any, ...]]:
    users, items = table.users, table.items
    columns = [users.names[users.codes], items.names[items.codes], *table.columns.values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("size", [1, 40, 1 << 22])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blocks_are_ratings_of_their_movie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: str
) -> None:
    monkeypatch.setattr(block_formats, "_BLOCK", size)
    (tmp_path / "x.txt").write_bytes(NETFLIX.replace("\n", end).encode())
    table = FORMATS.get("netflix")(tmp_path / "x.txt", Layout())
    assert rows(table) == [
        (1488844, 1, 3.0, 1125964800),
        (822109, 1, 5.0, 1115942400),
        (1488844, 8, 4.0, 1129680000),
    ]
    assert [table.line_of(row) for row in range(3)] == [2, 3, 6]
    assert table.time_is_date


@pytest.mark.parametrize("size", [1, 150, 1 << 22])
def test_clicked_impressions_are_interactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(block_formats, "_BLOCK", size)
    table = read(tmp_path / "behaviors.tsv", MIND, "mind")
    assert rows(table) == [
        ("U13740", "N55689", 1573463158),
        ("U91836", "N58114", 1573582290),
        ("U91836", "N55689", 1573582290),
        ("U13740", "N20678", 1573430758),
    ]
    assert [table.line_of(row) for row in range(4)] == [1, 2, 2, 4]
    message = "each clicked impression is an interaction; histories have no times and are not read"
    assert table.notes == (f"behaviors.tsv: {message}",)


NETFLIX_LINE = "expected `movie:` or `user,rating,year-month-day`; found "
MIND_LINE = (
    "expected five columns between tabs: impression, user, a time such as `11/15/2019 8:55:22 AM`, history, and "
)
BAD = {
    "netflix": [
        ("7,3", f":7: {NETFLIX_LINE}'7,3'"),
        ("7,3,2005-02-30", f":7: {NETFLIX_LINE}'7,3,2005-02-30'"),
        ("7,x,2005-02-03", f":7: {NETFLIX_LINE}'7,x,2005-02-03'"),
        ("x,3,2005-02-03", f":7: {NETFLIX_LINE}'x,3,2005-02-03'"),
        ("7,3,2005-02-03,1", f":7: {NETFLIX_LINE}'7,3,2005-02-03,1'"),
        ("7,3,03/02/2005", f":7: {NETFLIX_LINE}'7,3,03/02/2005'"),
        ("-7,3,2005-02-03", f":7: {NETFLIX_LINE}'-7,3,2005-02-03'"),
        ("x:", f":7: {NETFLIX_LINE}'x:'"),
        ("9: title", f":7: {NETFLIX_LINE}'9: title'"),
        ("9:\r7,3,2005-02-03", f":7: {NETFLIX_LINE}'9:\\r7,3,2005-02-03'"),
        ("7,3,2005-0", f":7: {NETFLIX_LINE}'7,3,2005-0'"),
        ("7;3;2005-02-03", f":7: {NETFLIX_LINE}'7;3;2005-02-03'"),
        ("99999999999999999999,3,2005-02-03", f":7: {NETFLIX_LINE}'99999999999999999999,3,2005-02-03'"),
    ],
    "mind": [
        (line, f":5: {MIND_LINE}")
        for line in (
            "5\tU1\t11/11/2019 9:05:58 AM\tN1\tN2 N3",
            "5\tU1\t11/11/2019 9:05:58 AM\tN1\tN2-1 N3-2",
            "5\tU1\t11/11/2019 9:05:58 AM\tN1\t",
            "5\tU1\t11/11/2019 9:05:58 AM\tN1",
            "5\t\t11/11/2019 9:05:58 AM\tN1\tN2-1",
            "5\tU1\t25/11/2019 9:05:58 AM\tN1\tN2-1",
            "5\tU1\t11/11/2019 9:05:58\tN1\tN2-1",
            "5\tU1\t2019-11-11 09:05:58\tN1\tN2-1",
            "5\tU1\t11/11/2019 9:05:58 AM\tN1\tN2-1\tmore",
            "5 U1 11/11/2019 N1 N2-1",
        )
    ],
}


@pytest.mark.parametrize(("format", "line", "message"), [(name, *bad) for name in BAD for bad in BAD[name]])
def test_a_line_that_is_something_else_is_named(tmp_path: Path, format: str, line: str, message: str) -> None:
    good = {"netflix": NETFLIX, "mind": MIND}[format]
    path = tmp_path / "x.txt"
    with pytest.raises(DataError) as caught:
        read(path, good + line + "\n", format)
    assert str(caught.value).startswith(f"{path}{message}")
    assert [fault.line for fault in caught.value.rows()] == [int(message[1])]


@pytest.mark.parametrize(
    ("content", "format", "layout", "message"),
    [
        ("7,3,2005-02-03\n1:\n", "netflix", {}, ":1: expected a line `movie:` first, found '7,3,2005-02-03'"),
        ("1:\n2:\n", "netflix", {}, ": holds no interactions"),
        ("", "netflix", {}, ": is empty"),
        (NETFLIX, "csv", {}, ": holds blocks of ratings, as the Netflix Prize does; set format=netflix"),
        (NETFLIX, "lightgcn", {}, ": holds blocks of ratings, as the Netflix Prize does; set format=netflix"),
        (MIND, "tsv", {}, ": holds impressions, as behaviors.tsv of MIND does; set format=mind"),
        (MIND, "netflix", {}, ": holds impressions, as behaviors.tsv of MIND does; set format=mind"),
        (NETFLIX, "mind", {}, ": holds blocks of ratings, as the Netflix Prize does; set format=netflix"),
        (NETFLIX, "netflix", {"user_column": "1"}, ": user_column means nothing to files of format netflix"),
        (MIND, "mind", {"separator": ","}, ": separator means nothing to files of format mind; leave it out"),
        (MIND, "mind", {"header": True}, ": header means nothing to files of format mind; leave it out"),
        ("1\tU1\t11/11/2019 9:05:58 AM\t\tN1-0\n", "mind", {}, ": holds no interactions"),
        (
            "1:\n7,3,2101-02-03\n7,3,2005-02-03\n8,3,2005-02-03\n",
            "netflix",
            {},
            ":2: expected a date from 1900 to 2099, found 2101-02-03",
        ),
    ],
)
def test_files_and_settings_that_do_not_fit_are_refused(
    tmp_path: Path, content: str, format: str, layout: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / "x.txt", content, format, **layout)
    assert str(caught.value).startswith(f"{tmp_path / 'x.txt'}{message}")


BLOCKS = "1:\n7,3,2005-02-03\n8,5,2005-02-04\n\n2:\n7,4,2005-02-05\n9,1,2005-02-06\n"
IMPRESSIONS = "1\tU1\t11/15/2019 8:55:22 AM\t\tN1-1 N2-0 N3-1\n2\tU2\t11/16/2019 8:55:22 AM\tN1\tN2-1\n"


@pytest.mark.parametrize(
    ("format", "condition", "expected", "lines"),
    [
        ("netflix", "rating >= 4", [("8", "1"), ("7", "2")], [3, 6]),
        ("netflix", "user in [7, 9] and item == 2", [("7", "2"), ("9", "2")], [6, 7]),
        ("netflix", "timestamp >= '2005-02-06'", [("9", "2")], [7]),
        ("mind", "user == 'U1' and item != 'N1'", [("U1", "N3")], [1]),
        ("mind", "timestamp > '2019-11-16'", [("U2", "N2")], [2]),
    ],
)
def test_interactions_are_selected_by_user_item_rating_and_time(
    tmp_path: Path, format: str, condition: str, expected: list[Any], lines: list[int]
) -> None:
    (tmp_path / "x").write_text(BLOCKS if format == "netflix" else IMPRESSIONS)
    table = read_table(format, tmp_path / "x", Layout(filter=condition, drop_missing=["user"]))
    pairs = zip(table.users.names[table.users.codes], table.items.names[table.items.codes], strict=True)
    assert [(str(user), str(item)) for user, item in pairs] == expected
    assert [table.line_of(row) for row in range(len(table))] == lines
    assert any("rows fulfil filter" in note for note in table.notes)


@pytest.mark.parametrize(
    ("format", "layout", "message"),
    [
        ("netflix", {"filter": "movie == 1"}, "there is no column 'movie', .* 'user', 'item', 'rating', 'timestamp'"),
        ("netflix", {"filter": "ratings == 1"}, "no column 'ratings', which filter names; did you mean 'rating'"),
        ("mind", {"filter": "rating == 1"}, "no column 'rating', .* Found: 'user', 'item', 'timestamp'"),
        ("mind", {"drop_missing": ["history"]}, "there is no column 'history', which drop_missing names"),
        ("netflix", {"filter": "rating == 'high'"}, "column rating holds numbers; filter compares them without quotes"),
        ("mind", {"filter": "user > 3"}, "x:1: filter compares column user with 3: expected a number, found 'U1'"),
        ("netflix", {"filter": "rating > 5"}, "no row fulfils filter 'rating > 5'; column rating holds"),
        ("netflix", {"time_format": "%Y-%m-%d"}, "time_format means nothing to files of format netflix"),
        ("mind", {"time_format": "%Y-%m-%d"}, "time_format means nothing to files of format mind; leave it out"),
    ],
)
def test_what_cannot_be_selected_is_refused(tmp_path: Path, format: str, layout: Any, message: str) -> None:
    (tmp_path / "x").write_text(BLOCKS if format == "netflix" else IMPRESSIONS)
    with pytest.raises(DataError, match=message):
        read_table(format, tmp_path / "x", Layout(**layout))
