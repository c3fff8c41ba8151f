"""Rows left out by `filter` and `drop_missing`: which are kept, the lines of what is refused, and the notes."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recrun.data.datasets import File, LabelledFile
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError

TEXT = """user,item,rating,time,event,price,my note,flag
1,10,3,100,purchase,2.5,a b,true
2,11,4,101,view,,a,false
3,12,5,102,purchase,10,NA,true
4,13,,103,view,7,"x, y",false
5,14,2,104,PURCHASE,100,,false
"""


def read(folder: Path, text: str = TEXT, name: str = "x.csv", format: str = "csv", **layout: Any) -> Table:
    (folder / name).write_text(text, encoding="utf-8")
    return read_table(format, folder / name, Layout(**layout))


def kept(table: Table) -> list[int]:
    users = table.users
    return [int(user) for user in users.names[users.codes]]


@pytest.mark.parametrize(
    ("condition", "users"),
    [
        ("event == 'purchase'", [1, 3]),
        ("event != 'purchase' and rating != null", [2, 5]),
        ("price > 5 and rating != null", [3, 5]),
        ("price >= 10", [3, 5]),
        ("price < 10 and rating != null", [1]),
        ("price <= 2.5", [1]),
        ("price == 10.0", [3]),
        ("price == null", [2]),
        ("price != null and rating != null", [1, 3, 5]),
        ("price != 10 and rating != null", [1, 2, 5]),
        ("not (price > 5) and rating > 0", [1, 2]),
        ("`my note` == 'a b'", [1]),
        ("'my note' == null and rating > 0", [3, 5]),
        ("`my note` == 'NA'", [3]),
        ("`my note` contains ' '  and rating > 0", [1]),
        ("event startswith 'pur'", [1, 3]),
        ("event endswith 'SE'", [5]),
        ("event in ['purchase', 'PURCHASE']", [1, 3, 5]),
        ("event not in ['purchase', 'PURCHASE'] and rating != null", [2]),
        ("user in [1, 5]", [1, 5]),
        ("flag == true", [1, 3]),
        ("flag == false and rating != null", [2, 5]),
        ("time >= 102 and rating != null", [3, 5]),
        ("event > 'q'  and rating != null", [2]),
    ],
)
def test_rows_that_fulfil_the_condition_are_kept(tmp_path: Path, condition: str, users: list[int]) -> None:
    table = read(tmp_path, filter=condition)
    assert kept(table) == users
    assert f"x.csv: {len(users)} of 5 rows fulfil filter {condition!r}" in table.notes
    frame = pl.read_csv(tmp_path / "x.csv", schema_overrides={"my note": pl.String})
    frame.write_parquet(tmp_path / "x.parquet")
    assert kept(read_table("parquet", tmp_path / "x.parquet", Layout(filter=condition))) == users


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"filter": "evnt == 'a'"}, "x.csv:1: there is no column 'evnt', which filter names; did you mean 'event'"),
        ({"filter": "3 == 'a'"}, "x.csv:1: there is no column '3', which filter names. Found: 'user', 'item'"),
        ({"drop_missing": ["prize"]}, "there is no column 'prize', which drop_missing names; did you mean 'price'"),
        ({"drop_missing": [3]}, "there is no column '3', which drop_missing names"),
        (
            {"filter": "event == 'sale'"},
            "x.csv: no row fulfils filter \"event == 'sale'\"; column event holds 'purchase'",
        ),
        ({"filter": "event > 5"}, "x.csv:2: filter compares column event with 5: expected a number, found 'purchase'"),
        (
            {"filter": "`my note` == 1"},
            "x.csv:2: filter compares column my note with 1: expected a number, found 'a b'",
        ),
        ({"filter": "event == true"}, "x.csv:2: filter compares column event with True: expected true or false"),
        ({"filter": "price > '5'"}, "filter compares column price with text; write the number 5 without quotes"),
        ({"filter": "event = 'a'"}, "filter \"event = 'a'\": character 7: expected one of"),
        ({"filter": "event == 'view'"}, "x.csv:5: the rating is missing"),
        ({"filter": "price > 1000"}, "no row fulfils filter 'price > 1000'; column price holds '2.5', '10'"),
        ({"filter": "user == 2", "drop_missing": ["price"]}, "drop_missing leaves no row"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, layout: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path, **layout)
    assert message in str(error.value)


def test_rows_with_a_missing_value_are_left_out_and_counted(tmp_path: Path) -> None:
    table = read(tmp_path, drop_missing=["rating", "my note"])
    assert kept(table) == [1, 2]
    assert table.notes[-2:] == (
        "x.csv: 1 rows are left out, as column rating is missing in them",
        "x.csv: 2 rows are left out, as column my note is missing in them",
    )
    assert table.notes[0] == "x.csv: columns event, price, flag are not used"


@pytest.mark.parametrize("word", ["", "NA", "nan", "NULL", "None", "n/a", "-", "?", "\\N", "undefined"])
def test_words_that_stand_for_a_missing_id_leave_the_row_out(tmp_path: Path, word: str) -> None:
    text = f"user,item\n1,10\n{word},11\n2,12\n"
    with pytest.raises(DataError, match=r"x\.csv:3: the user is"):
        read(tmp_path, text)
    assert kept(read(tmp_path, text, drop_missing=["user"])) == [1, 2]


def test_lines_in_later_messages_are_those_of_the_file(tmp_path: Path) -> None:
    text = "user,item,rating,event\n1,10,bad,view\n\n2,11,3,buy\n3,12,5,view\n4,-13,2,buy\n"
    with pytest.raises(DataError, match=r"x\.csv:6: expected a item >= 0, found -13"):
        read(tmp_path, text, filter="event == 'buy'")
    with pytest.raises(DataError, match=r"x\.csv:6: expected a number as rating \(column 'rating'\), found 'bad'"):
        read(tmp_path, text.replace("2,buy", "bad,buy").replace("-13", "13"), filter="event == 'buy'")
    table = read(tmp_path, text.replace("-13", "13"), filter="event == 'buy'")
    assert [table.line_of(row) for row in (0, 1)] == [4, 6]
    assert table.skipped["blank-lines"].tolist() == [3]


def test_large_ids_are_compared_exactly(tmp_path: Path) -> None:
    text = "user,item\n1,9007199254740993\n2,9007199254740992\n"
    assert kept(read(tmp_path, text, filter="item == 9007199254740993")) == [1]


def test_columns_without_names_go_by_their_numbers(tmp_path: Path) -> None:
    text = "1,a,buy,5\n2,b,view,6\n3,c,buy,x\n"
    layout = {"filter": "3 == 'buy' and `4` != 'x'", "rating_column": "", "time_column": ""}
    assert kept(read(tmp_path, text, **layout)) == [1]


def test_dates_of_parquet_are_compared_as_text(tmp_path: Path) -> None:
    when = [datetime(2020, 1, day) for day in (1, 2, 3)]
    pl.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3], "time": when}).write_parquet(tmp_path / "x.parquet")
    assert kept(read_table("parquet", tmp_path / "x.parquet", Layout(filter="time >= '2020-01-02'"))) == [2, 3]
    with pytest.raises(DataError, match="column time holds dates; filter compares them with text in quotes"):
        read_table("parquet", tmp_path / "x.parquet", Layout(filter="time >= 2020"))


def test_columns_of_parquet_are_compared_as_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"user": [1, 2, 3], "item": [1, 2, 3], "n": [1.5, 2.0, None], "ok": [True, False, None]})
    event = pl.Series("event", ["buy", "view", None], dtype=pl.Categorical)
    frame.with_columns(
        event, several=pl.Series([[1], [2], [3]]), small=pl.Series([1, 2, 3], dtype=pl.UInt8)
    ).write_parquet(path)
    for condition, users in {
        "n == 2": [2],
        "n != null": [1, 2],
        "ok == true": [1],
        "ok == 0": [2],
        "event == 'buy'": [1],
        "event != 'buy'": [2, 3],
        "small >= 2": [2, 3],
        "small == '3'": [3],
        "small < 1000": [1, 2, 3],
    }.items():
        assert kept(read_table("parquet", path, Layout(filter=condition))) == users, condition
    for condition, message in {
        "several == 1": "rows cannot be selected by column several, which holds List",
        "event > 1": "x.parquet:1: filter compares column event with 1: expected a number, found 'buy'",
        "n == '2'": "column n holds numbers; filter compares them without quotes",
        "small > 'a'": "column small holds numbers; filter compares them without quotes",
        "small == 99999999999999999999": "which has more than 64 bits; write it in quotes",
    }.items():
        with pytest.raises(DataError, match=message):
            read_table("parquet", path, Layout(filter=condition))


@pytest.mark.parametrize("format", ["lightgcn", "sequences"])
@pytest.mark.parametrize(("key", "value"), [("filter", "user == 1"), ("drop_missing", ["user"])])
def test_formats_without_columns_take_neither(tmp_path: Path, format: str, key: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"{key} means nothing to files of format {format}; leave it out"):
        read(tmp_path, "1 2 3\n2 3 4\n", "x.txt", format, **{key: value})


def test_every_part_is_selected_and_so_are_labelled_rows(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [f"{u},{i},{draw.choice(['buy', 'view'])},{u % 2}" for u in range(20) for i in range(10)]
    head = "user,item,event,label\n"
    (tmp_path / "train.csv").write_text(head + "\n".join(row for row in rows if int(row.split(",")[1]) % 4))
    (tmp_path / "test.csv").write_text(head + "\n".join(row for row in rows if not int(row.split(",")[1]) % 4))
    n_rows = {name: (tmp_path / name).read_text().count("buy") for name in ("train.csv", "test.csv")}
    paths: dict[str, Any] = {"train_path": "train.csv", "test_path": "test.csv", "filter": "event == 'buy'"}
    data = File(tmp_path, **paths, valid_ratio=0)
    assert [len(data.interactions(part)) for part in ("train", "test")] == list(n_rows.values())
    assert any("rows fulfil filter" in note for note in data.notes)
    labelled = LabelledFile(tmp_path, **paths, valid_ratio=0, user_column="user", item_column="item")
    assert [len(labelled.interactions(part)) for part in ("train", "test")] == list(n_rows.values())
    assert "train.csv: column event is not used" not in labelled.notes
    with pytest.raises(DataError, match="there is no column 'evnt', which filter names"):
        LabelledFile(tmp_path, **paths | {"filter": "evnt == 'buy'"}, user_column="user")
