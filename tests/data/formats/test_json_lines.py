"""JSON lines and Python dicts: what is read exactly, and what is refused with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.data.formats import json_lines, record_lines
from recrun.data.formats.columns.select_rows import read_table
from recrun.data.formats.table import Layout, Table
from recrun.errors import DataError
from recrun.registry import FORMATS


def read(path: Path, content: str | bytes, format: str = "jsonl", **layout: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table: Table = FORMATS.get(format)(path, Layout(**layout))
    return table


def rows(table: Table) -> list[tuple[Any, ...]]:
    users, items = table.users, table.items
    columns = [users.names[users.codes], items.names[items.codes], *table.columns.values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


PUBLISHED = {
    "Amazon 2014": (
        '{"reviewerID": "A1", "asin": "B0", "helpful": [0, 0], "reviewText": "\\"x\\",", "overall": 5.0, '
        '"unixReviewTime": 1393545600, "reviewTime": "02 28, 2014"}',
        {},
        ("A1", "B0", 5.0, 1393545600),
    ),
    "Amazon 2018": (
        '{"overall": 4.0, "verified": true, "reviewTime": "11 9, 2012", "reviewerID": "A2", "asin": "0060", '
        '"style": {"Format:": " Paperback"}, "unixReviewTime": 1352419200}',
        {},
        ("A2", "0060", 4.0, 1352419200),
    ),
    "Amazon 2023": (
        '{"rating": 5.0, "title": "x", "images": [], "asin": "B07", "parent_asin": "B08", "user_id": "AG", '
        '"timestamp": 1588615855070, "helpful_vote": 0, "verified_purchase": true}',
        {"item_column": "asin"},
        ("AG", "B07", 5.0, 1588615855070),
    ),
    "Amazon 2023 by parent": (
        '{"rating": 5.0, "asin": "B07", "parent_asin": "B08", "user_id": "AG", "timestamp": 1588615855070}',
        {"item_column": "parent_asin"},
        ("AG", "B08", 5.0, 1588615855070),
    ),
    "Yelp": (
        '{"review_id": "K", "user_id": "mh", "business_id": "XQ", "stars": 3.0, "useful": 0, "text": "a\\nb", '
        '"date": "2018-07-07 22:09:11"}',
        {},
        ("mh", "XQ", 3.0, 1531001351),
    ),
    "nested": (
        '{"event": {"user": {"key": 7}}, "item": "x", "user.name": "n"}',
        {"user_column": "event.user.key"},
        (7, "x"),
    ),
    "a key with a dot": ('{"a.b": 7, "item": "x", "a": {"b": 8}}', {"user_column": "a.b"}, (7, "x")),
}


@pytest.mark.parametrize("what", PUBLISHED)
def test_published_layouts_are_read_with_one_setting_at_most(tmp_path: Path, what: str) -> None:
    line, layout, expected = PUBLISHED[what]
    assert rows(read(tmp_path / "x.jsonl", line + "\n", **layout)) == [expected]
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    assert rows(FORMATS.get("jsonl")(tmp_path / "x.jsonl.gz", Layout(**layout))) == [expected]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([9007199254740993, 9007199254740992], [9007199254740993, 9007199254740992]),
        ([2**63 - 1, 1], [2**63 - 1, 1]),
        ([2**64 + 1, 2**64], [str(2**64 + 1), str(2**64)]),
        (["9007199254740993", 9007199254740992], [9007199254740993, 9007199254740992]),
        (["007", 8], ["007", "8"]),
        ([7.0, 8], [7, 8]),
        (["a", 5], ["a", "5"]),
        (["\u00fc", "\U0001f600"], ["\u00fc", "\U0001f600"]),
    ],
)
def test_ids_are_exact(tmp_path: Path, values: list[Any], ids: list[Any]) -> None:
    for dumps in (json.dumps, lambda record: json.dumps(record, ensure_ascii=False)):
        text = "".join(dumps({"user": value, "item": 1}) + "\n" for value in values)
        assert [row[0] for row in rows(read(tmp_path / "x.jsonl", text))] == ids
    text = "".join(repr({"user": value, "item": 1}) + "\n" for value in values)
    assert [row[0] for row in rows(read(tmp_path / "x", text, "pylines"))] == ids


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1600000000, 1600000001], [1600000000, 1600000001]),
        (["1600000000", 1600000001], [1600000000, 1600000001]),
        ([1600000000.5, 1600000001], [1600000000.5, 1600000001.0]),
        (["2020-09-13", "2020-09-14"], [1599955200, 1600041600]),
        ([1600000000000000001, 1600000000000000002], [1600000000000000001, 1600000000000000002]),
        (["1600000000000000001", "1600000000000000002"], [1600000000000000001, 1600000000000000002]),
    ],
)
def test_times_are_numbers_text_or_dates(tmp_path: Path, times: list[Any], expected: list[Any]) -> None:
    text = "".join(json.dumps({"user": 1, "item": i, "time": time}) + "\n" for i, time in enumerate(times))
    assert read(tmp_path / "x.jsonl", text).columns["timestamp"].tolist() == expected


GOOD = '{"user": 1, "item": 2, "rating": 3, "time": 5}\n'
MALFORMED: dict[str, str] = {
    '{"user": 1, "item": 2, "rating": 3, "time": 5': "expected a JSON object, found",
    "{'user': 1}": "expected a JSON object, found \"{'user': 1}\" (Expecting property name",
    '{"user": 1,}': "expected a JSON object, found",
    "user,item": "expected a JSON object, found 'user,item' (Expecting value)",
    '"text"': "expected an object with keys on each line, found '\"text\"'",
    "null": "expected an object with keys on each line, found 'null'",
    "17": "expected an object with keys on each line, found '17'",
    "[1, 2]": "expected an object with keys on each line, found '[1, 2]'",
    "[" * 100_000: "expected a JSON object, found '[[[[",
    '{"user": ' + "9" * 5000 + "}": "expected a JSON object, found",
    '{"user": 1} {"user": 2}': 'expected a JSON object, found \'{"user": 1} {"user": 2}\' (Extra data)',
    '{"user": 1, "user": 2, "item": 3}': "the key 'user' is there twice",
    '{"x": {"a": 1, "a": 2}}': "the key 'a' is there twice",
    "{}": "the user is missing: there is none of the keys 'user', 'item', 'rating', 'time'",
    '{"user": {"a": 1}, "item": 2, "rating": 3, "time": 5}': "expected a text or an integer as user, found '{",
    '{"user": [1], "item": 2, "rating": 3, "time": 5}': "expected a text or an integer as user, found '[1]'",
    '{"user": true, "item": 2, "rating": 3, "time": 5}': "expected a text or an integer as user, found 'true'",
    '{"user": 1.5, "item": 2, "rating": 3, "time": 5}': "expected a text or an integer as user, found '1.5'",
    '{"user": 1e300, "item": 2, "rating": 3, "time": 5}': "expected a text or an integer as user, found '1e+300'",
    '{"user": 1, "item": NaN, "rating": 3, "time": 5}': "expected a text or an integer as item, found nan",
    '{"user": 1, "item": 2, "rating": Infinity, "time": 5}': "expected a number as rating, found inf",
    '{"user": 1, "item": 2, "rating": 1e999, "time": 5}': "expected a number as rating, found inf",
    '{"user": 1, "item": 2, "rating": "good", "time": 5}': "expected a number as rating, found 'good'",
    '{"user": 1, "item": 2, "rating": "nan", "time": 5}': "expected a number as rating, found 'nan'",
    '{"user": 1, "item": 2, "rating": "1_0", "time": 5}': "expected a number as rating, found '1_0'",
    '{"user": 1, "item": 2, "rating": false, "time": 5}': "expected a number as rating, found 'false'",
    '{"user": 1, "item": 2, "rating": 3, "time": [5]}': "expected a number or a date as timestamp, found '[5]'",
    '{"user": 1, "item": 2, "rating": 3, "time": 1'
    + "0" * 30
    + "}": "expected a number of at most 64 bits as timestamp",
    '{"user": "\\ud800", "item": 2, "rating": 3, "time": 5}': "is not text in the encoding of the file",
    '{"user": 1, "rating": 3, "time": 5}': "the item is missing",
    '{"user": null, "item": 2, "rating": 3, "time": 5}': "the user is missing",
    '{"user": 1, "item": 2, "time": 5}': "the rating is missing",
    '{"user": 1, "item": 2, "rating": 3, "time": null}': "the timestamp is missing",
    '{"user": "", "item": 2, "rating": 3, "time": 5}': "expected a user id of 1 to 512 characters, found an empty one",
    '{"user": -1, "item": 2, "rating": 3, "time": 5}': "expected a user >= 0, found -1",
}


@pytest.mark.parametrize("chunk", [2, 1 << 16])
@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_CHUNK", chunk)
    path = tmp_path / "x.jsonl"
    with pytest.raises(DataError) as caught:
        read(path, GOOD + "\n" + GOOD + line + "\n" + GOOD)
    assert str(caught.value).startswith(f"{path}:4: {MALFORMED[line]}")
    named = list(caught.value.rows())
    assert [fault.line for fault in named] == [4]


PYTHON = "{u'user': u'a', 'item': 'b', 'rating': 3.0}\n"
BAD_PYTHON = {
    "{'user': 'a', 'item': open('x')}": "expected a Python dict of literals, found",
    "{'user': 'a', 'item': 'b'": "expected a Python dict of literals, found",
    "{'user': 'a', 'item': __import__('os').system('id')}": "expected a Python dict of literals, found",
    "{'user': x, 'item': 'b'}": "expected a Python dict of literals, found",
    "{'user': 'a', 'user': 'b', 'item': 'b'}": "a key is there twice",
    "{'user', 'item'}": "expected an object with keys on each line",
    "['user']": "expected an object with keys on each line",
    "{[1]: 2}": "expected a Python dict of literals, found",
    "(" * 5000: "expected a Python dict of literals, found",
    "import os": "expected a Python dict of literals, found 'import os'",
    "{'user': 'a', 'item': 'b', 'rating': 'x'}": "expected a number as rating, found 'x'",
    "{'user': 'a', 'item': b'b', 'rating': 1}": "expected a text or an integer as item, found",
}


@pytest.mark.parametrize("line", BAD_PYTHON)
def test_a_line_that_is_no_literal_is_named_and_nothing_is_run(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(DataError) as caught:
        read(path, PYTHON + line + "\n", "pylines")
    assert str(caught.value).startswith(f"{path}:2: {BAD_PYTHON[line]}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '[{"user": 1}, {"user": 2}]',
            "is one JSON array, expected an object on each line: jq -c",
        ),
        ('[\n{"user": 1}\n]\n', "is one JSON array, expected an object on each line"),
        ('{\n  "user": 1\n}\n', "is a JSON document over several lines, .* jq -c \\. x\\.json > x\\.jsonl"),
        ("{u'user': 1}\n", "holds Python dicts, one a line; set format=pylines"),
        ("user,item\n1,2\n", ":1: expected a JSON object, found 'user,item'"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('{"data": [{"user": 1}]}\n', ":1: which column holds the user\\? Found: 'data'; name it with user_column"),
        ('{"user": 1, "uid": 2}\n', ":1: which column holds the item\\? Found: 'user', 'uid'"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip, and its name does not say so: mv x.json x.json.gz"),
        (b"PAR1....", "is a parquet file; set format=parquet"),
        ("<html>", "is a web page, not a table"),
    ],
)
def test_a_document_that_is_no_json_lines_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.json", content)


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_lines, "LONGEST", 1 << 10)
    with pytest.raises(DataError, match=r"x\.json:2: the line is longer than"):
        read(tmp_path / "x.json", GOOD + '{"user": "' + "x" * 2000)


def test_blank_lines_a_mark_and_windows_ends_do_no_harm(tmp_path: Path) -> None:
    table = read(tmp_path / "x.jsonl", b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n" + GOOD.strip().encode() + b"\r\n\n")
    assert rows(table) == [(1, 2, 3.0, 5)] * 2
    assert [table.line_of(row) for row in (0, 1)] == [1, 3]
    assert "x.jsonl: blank lines are skipped" in table.notes


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read_when_named(tmp_path: Path, encoding: str) -> None:
    content = '{"user": "Jos\u00e9", "item": 1}\n'.encode(encoding)
    assert rows(read(tmp_path / "x.jsonl", content, encoding=encoding)) == [("Jos\u00e9", 1)]
    if encoding == "latin-1":
        with pytest.raises(
            DataError, match=r"x\.jsonl:1: is not text in the encoding of the file: 'Jos\u00e9'; set enc"
        ):
            read(tmp_path / "x.jsonl", content)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.lists(st.sampled_from([*'{}[]":,\n\\u0dae1 ', GOOD, PYTHON, '"user"', "null"]), max_size=12))
def test_whatever_is_written_gives_a_table_or_a_data_error(tmp_path: Path, content: list[str]) -> None:
    for format in ("jsonl", "pylines"):
        fault, n_rows = "", 0
        try:
            n_rows = len(read(tmp_path / "x.json", GOOD + "".join(content), format))
        except DataError as error:
            fault = str(error)
        assert n_rows or fault.startswith(str(tmp_path))


EVENTS: list[dict[str, Any]] = [
    {"user": 1, "item": "a", "rating": 3, "time": 1600000000, "event": {"kind": "buy"}, "sure": True, "price": 2.5},
    {"user": 2, "item": "b", "rating": 4, "time": 1600000001, "event": {"kind": "view"}, "sure": False, "price": 10},
    {"user": 3, "item": "c", "rating": 5, "time": 1600000002, "event": {"kind": "BUY"}, "sure": True, "price": None},
    {"user": 4, "item": None, "rating": 1, "time": 1600000003, "event": {"kind": "view"}, "sure": False, "tags": [1]},
    {"user": 5, "item": "e", "rating": "", "time": 1600000004, "event": {"kind": "buy"}, "sure": True, "price": "7"},
    {"user": 6, "item": "f", "rating": 2, "time": None, "event": {"kind": "buy"}, "sure": True, "price": 2**64},
    {"user": float("nan"), "item": "g", "rating": 2, "time": 1600000006, "event": {"kind": "view"}},
    {"user": 8, "item": "h", "rating": "good", "time": 1600000007, "event": {"kind": "spam"}, "code": 2**53 + 1},
    {"event": {"kind": "nothing"}},
]
"""Events, in lines 2 to 10 of a file whose first line is blank."""


def selected(folder: Path, format: str = "jsonl", **layout: Any) -> Table:
    write = json.dumps if format == "jsonl" else lambda record: repr(record).replace("nan", "9e999 - 9e999")
    records = [record for record in EVENTS if format == "jsonl" or record.get("user") == record.get("user")]
    (folder / "x.json").write_text("\n" + "".join(write(record) + "\n" for record in records))
    return read_table(format, folder / "x.json", Layout(**layout))


@pytest.mark.parametrize("chunk", [2, 1 << 16])
@pytest.mark.parametrize("format", ["jsonl", "pylines"])
@pytest.mark.parametrize(
    ("layout", "users"),
    [
        ({"filter": "rating >= 3 and event.kind != 'spam' and rating <= 4"}, "a number"),
        ({"filter": "event.kind == 'buy'", "drop_missing": ["rating", "time"]}, [1]),
        ({"filter": "event.kind in ['buy', 'BUY']", "drop_missing": ["time", "rating"]}, [1, 3]),
        ({"filter": "sure == true and time != null and rating != null"}, [1, 3]),
        ({"filter": "sure != true and item != null and event.kind == 'view'", "drop_missing": ["user"]}, [2]),
        ({"filter": "price > 2 and price < 8 and time != null", "drop_missing": ["rating"]}, [1]),
        ({"filter": "price >= 10 and time != null"}, [2]),
        ({"filter": "price == null and user == 3"}, [3]),
        ({"filter": "code == 9007199254740992 or user == 1"}, [1]),
        ({"filter": "user in [1, 2, 3]"}, [1, 2, 3]),
        ({"filter": "user <= 5 and user != null", "drop_missing": ["item"], "rating_column": ""}, [1, 2, 3, 5]),
        ({"filter": "event.kind != 'spam'", "drop_missing": ["user", "item", "rating", "time"]}, [1, 2, 3]),
    ],
)
def test_records_are_selected_by_any_of_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any, users: Any, format: str, chunk: int
) -> None:
    monkeypatch.setattr(json_lines, "_CHUNK", chunk)
    if isinstance(users, str):
        with pytest.raises(DataError, match=r"x\.json:9: filter compares column rating with .*found 'good'"):
            selected(tmp_path, **layout)
        return
    table = selected(tmp_path, format, **layout)
    assert [row[0] for row in rows(table)] == users
    assert [table.line_of(row) for row in range(len(users))] == [user + 1 for user in users]
    assert any("rows fulfil filter" in note for note in table.notes)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            {"filter": "event.kind == 'view'"},
            r"x\.json:5: the item is missing \(column 'item'\); drop_missing=\[item\] leaves such rows out$",
        ),
        ({"filter": "event.kind == 'spam'"}, "x.json:9: expected a number as rating, found 'good'"),
        ({"filter": "event.kind == 'buy'"}, r"x.json:6: the rating is missing \(column 'rating'\); drop_missing=\[rat"),
        ({"filter": "event.kind == 'buy'", "drop_missing": ["rating"]}, "x.json:7: the timestamp is missing"),
        (
            {"filter": "event.kind == 'nothing'", "drop_missing": []},
            "x.json:10: the user is missing: there is none of the keys 'user', ",
        ),
        ({"filter": "event.kin == 'buy'"}, "there is no column 'event.kin', .*; did you mean 'event.kind'"),
        ({"filter": "kind == 'buy'"}, "there is no column 'kind', which filter names"),
        ({"drop_missing": ["usr"]}, "there is no column 'usr', which drop_missing names; did you mean 'user'"),
        ({"filter": "tags == 1"}, r"x.json:5: rows cannot be selected by column 'tags', which holds '\[1\]'"),
        ({"filter": "event.kind == 'sell'"}, "no row fulfils filter .*; column event.kind holds 'buy', 'view', 'BUY'"),
        ({"filter": "event.kind > 3"}, "x.json:2: filter compares column event.kind with 3: expected a number, found"),
        ({"filter": "sure == 'true' and ("}, "filter .*: character 21: expected a column"),
        ({"filter": "user == 1", "time_format": "%Y-%m-%d"}, "x.json:2: expected a date in the form %Y-%m-%d"),
        ({"filter": "user == 1", "time_column": "", "time_format": "%Y"}, "time_format '%Y' has no effect"),
    ],
)
def test_what_cannot_be_selected_is_refused_with_the_line_of_the_file(
    tmp_path: Path, layout: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        selected(tmp_path, **{"drop_missing": ["user"]} | layout)


def test_keys_that_are_not_used_are_noted(tmp_path: Path) -> None:
    table = read(tmp_path / "x.jsonl", '{"user": 1, "item": 2, "a": {"b": 3}}\n{"user": 2, "item": 3, "c": 4}\n')
    assert table.notes == ("x.jsonl: columns a.b, c are not used",)
    assert read(tmp_path / "x.jsonl", '{"user": 1, "item": 2, "a": 1}\n', filter="a == 1").notes == (
        "x.jsonl: 1 of 1 rows fulfil filter 'a == 1'",
    )


@pytest.mark.parametrize("format", ["jsonl", "pylines"])
def test_keys_that_come_late_are_noted_with_their_line(tmp_path: Path, format: str) -> None:
    records: list[dict[str, Any]] = [{"user": row % 40, "item": row % 30} for row in range(1000)]
    late: list[dict[str, Any]] = [{"user": 1, "item": 2, "rating": 5}, {"item": 2, "user": 3, "note": "x", "rating": 4}]
    written = json.dumps if format == "jsonl" else repr
    table = read(tmp_path / "x", "".join(f"{written(each)}\n" for each in records), format)
    assert not [note for note in table.notes if "lack" in note]
    table = read(tmp_path / "x", "".join(f"{written(each)}\n" for each in (*records, *late)), format)
    told = "keys that the first 1,000 records lack are not used: rating, note (line 1001)"
    assert f"x: {told}" in table.notes


@pytest.mark.parametrize(
    ("labels", "is_noted"), [([0, 1], True), ([True, False], True), (["0", "1"], True), ([1, 1], False)]
)
def test_labels_that_are_not_used_are_pointed_out(tmp_path: Path, labels: list[Any], is_noted: bool) -> None:
    records = [{"user": 1, "item": item, "click": label} for item, label in enumerate(labels)]
    told = "column click holds 0 and 1, and rows with 0 count as interactions; set rating_column=click"
    table = read(tmp_path / "x.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert any(told in note for note in table.notes) == is_noted
    pl.DataFrame(records).write_parquet(tmp_path / "x.parquet")
    notes = FORMATS.get("parquet")(tmp_path / "x.parquet", Layout()).notes
    assert any(told in note for note in notes) == is_noted


@pytest.mark.parametrize(
    ("times", "time_format", "expected"),
    [
        (["01/02/2024", "03/02/2024"], "%d/%m/%Y", [1706745600, 1706918400]),
        ([20240201, 20240203], "%Y%m%d", [1706745600, 1706918400]),
        (["050201", "050203"], "%y%m%d", [1107216000, 1107388800]),
    ],
)
def test_times_are_read_as_time_format_says(
    tmp_path: Path, times: list[Any], time_format: str, expected: list[int]
) -> None:
    text = "".join(json.dumps({"user": 1, "item": i, "time": time}) + "\n" for i, time in enumerate(times))
    assert read(tmp_path / "x.jsonl", text, time_format=time_format).columns["timestamp"].tolist() == expected
