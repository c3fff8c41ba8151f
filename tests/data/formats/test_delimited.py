"""Text in columns: what is found out, what is read, and what is said of what cannot be."""

from __future__ import annotations

import csv
import gzip
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.data.formats import delimited
from recrun.data.formats.delimited import guess_separator
from recrun.data.formats.table import Layout, Table
from recrun.data.formats.values.numbers import MISSING_WORDS
from recrun.errors import DataError
from recrun.registry import FORMATS


def read(path: Path, content: str | bytes, format: str = "csv", **layout: Any) -> Table:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table: Table = FORMATS.get(format)(path, Layout(**layout))
    return table


def rows(table: Table) -> list[tuple[Any, ...]]:
    users, items = table.users, table.items
    columns = [users.names[users.codes], items.names[items.codes], *table.columns.values()]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_names_are_recognised_whatever_their_case_and_order(tmp_path: Path) -> None:
    table = read(tmp_path / "x.csv", "timestamp,Movie_ID,title,Rating,userId\n7,10,a,3.5,2\n6,11,b,0,1\n")
    assert rows(table) == [(2, 10, 3.5, 7), (1, 11, 0.0, 6)]
    assert list(table.columns) == ["rating", "timestamp"]


def test_columns_can_be_named(tmp_path: Path) -> None:
    table = read(tmp_path / "x.csv", "who,what,user\na,b,c\n", user_column="who", item_column="what")
    assert rows(table) == [("a", "b")]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " ", "§", "<>"])
def test_any_separator_is_found_or_taken(tmp_path: Path, separator: str) -> None:
    text = "user;item;rating;time\n1;2;3;4\n5;6;7;8\n".replace(";", separator)
    known = None if separator not in ("§", "<>") else separator
    assert rows(read(tmp_path / "x.txt", text, separator=known)) == [(1, 2, 3.0, 4), (5, 6, 7.0, 8)]


def test_a_file_without_names_has_its_columns_by_position_and_says_so(tmp_path: Path) -> None:
    table = read(tmp_path / "x.csv", "1,2,3.5,9\n4,5,1,8\n")
    assert rows(table) == [(1, 2, 3.5, 9), (4, 5, 1.0, 8)]
    assert table.notes == ("x.csv: no header row; the columns were taken as user, item, rating, timestamp",)
    swapped = read(tmp_path / "x.csv", "1,2,3.5\n4,5,1\n", user_column="2", item_column="1", header=False)
    assert rows(swapped) == [(2, 1, 3.5), (5, 4, 1.0)]


def test_a_first_line_without_numbers_is_a_line_of_names_unless_told_otherwise(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "x.csv", "a,b\nc,d\n", header=False)) == [("a", "b"), ("c", "d")]
    with pytest.raises(
        DataError, match=r"x\.csv:1: which column holds the user\? Found: 'a', 'b'; name it with user_column"
    ):
        read(tmp_path / "x.csv", "a,b\nc,d\n")


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        (["10", "9"], [10, 9]),
        (["007", "8"], ["007", "8"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["B00x", "12"], ["B00x", "12"]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["ü", "a b"], ["ü", "a b"]),
    ],
)
def test_ids_are_integers_only_when_all_are_written_as_integers(
    tmp_path: Path, written: list[str], ids: list[Any]
) -> None:
    table = read(tmp_path / "x.csv", "user,item\n" + "".join(f"{name},1\n" for name in written))
    assert [row[0] for row in rows(table)] == ids
    assert table.users.names.tolist() == sorted(ids)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
            st.integers(0, 10**12),
            st.integers(0, 10),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_quoted_csv_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[str, int, int]]
) -> None:
    # Words for missing values among numbers, and ids that differ only by blanks, are refused.
    data = [row for row in data if row[0] == row[0].strip() and row[0].lower() not in MISSING_WORDS] or [("a", 1, 1)]
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows([("user", "item", "rating"), *data])
    table = read(path, path.read_bytes())
    assert [(str(user), item, rating) for user, item, rating in rows(table)] == data


def test_windows_line_ends_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    table = read(tmp_path / "x.csv", b"\xef\xbb\xbfuser,item\r\n1,a\r\n\r\n2,b\r\n\r\n")
    assert rows(table) == [(1, "a"), (2, "b")]
    assert table.notes == ("x.csv: blank lines are skipped",)
    assert [table.line_of(row) for row in (0, 1)] == [2, 4]


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    content = "user,item\né,1\n".encode("latin-1")
    assert rows(read(tmp_path / "x.csv", content, encoding="latin-1")) == [("é", 1)]
    with pytest.raises(DataError, match=r"x\.csv:2: is not utf-8 text: 'é,1'; set encoding \(latin-1\?\)"):
        read(tmp_path / "x.csv", content)
    with pytest.raises(DataError, match="there is no encoding 'latin-17'"):
        read(tmp_path / "x.csv", content, encoding="latin-17")


@pytest.mark.parametrize(
    ("times", "expected", "kind"),
    [
        (["1", "2"], [1, 2], "i"),
        (["1.0", "2.0"], [1, 2], "i"),
        (["1", "2.5"], [1.0, 2.5], "f"),
        (["1e9", "2"], [10**9, 2], "i"),
        (["1970-01-02 00:00:00", "1970-01-01 00:00:01"], [86400, 1], "i"),
        (["1970-01-03", "1970-01-02"], [2 * 86400, 86400], "i"),
    ],
)
def test_times_are_numbers_or_dates(tmp_path: Path, times: list[str], expected: list[float], kind: str) -> None:
    table = read(tmp_path / "x.csv", "user,item,time\n" + "".join(f"1,{i},{time}\n" for i, time in enumerate(times)))
    assert table.columns["timestamp"].tolist() == expected
    assert table.columns["timestamp"].dtype.kind == kind


@pytest.mark.parametrize(
    ("content", "layout", "message"),
    [
        ("", {}, "x.csv: is empty"),
        (" \n\n", {}, "x.csv: is empty"),
        ("user,item\n", {}, "x.csv: holds no interactions"),
        ("user,item\n\n \n", {}, "x.csv: holds no interactions"),
        ("user,item,rating\n1,2,3\n4,5\n", {}, "x.csv:3: expected 3 columns, found 2: '4,5'"),
        ("user,item,rating\n1,2,3\n4,5,6,7\n", {}, "x.csv:3: expected 3 columns, found 4: '4,5,6,7'"),
        ("user,item,title\n1,2,a\n4,5,a,b\n", {}, "x.csv:3: expected 3 columns, found 4: '4,5,a,b'"),
        ("user,item,title\n1,2,a\n4,5\n", {}, "x.csv:3: expected 3 columns, found 2"),
        (
            "user,item,rating\n1,2,3\n4,5,good\n",
            {},
            "x.csv:3: expected a number as rating \\(column 'rating'\\), found 'good'; rating_column= reads",
        ),
        (
            "user,item,rating\n1,2,3\n4,5,nan\n",
            {},
            "x.csv:3: expected a finite number as rating \\(column 'rating'\\), found nan",
        ),
        (
            "user,item,rating\n1,2,3\n4,5,\n",
            {},
            "x.csv:3: the rating is missing \\(column 'rating'\\); drop_missing=\\[rating\\] leaves such",
        ),
        ("user,item\n1,2\n,3\n", {}, "x.csv:3: the user is missing"),
        ("user,item\n1,2\n3,-4\n", {}, "x.csv:3: expected a item >= 0, found -4"),
        (
            "user,item,time\n1,2,3\n4,5,soon\n",
            {},
            "x.csv:3: expected a number as timestamp \\(column 'time'\\), found 'soon'; time_column= reads",
        ),
        (
            "user,thing\n1,2\n",
            {},
            "x.csv:1: which column holds the item\\? Found: 'user', 'thing'; name it with item_column",
        ),
        ("user;item\n1;2\n", {"separator": ","}, "with separator ',' there is one column; is the separator ';'\\?"),
        (
            "user,item\n1,2\n",
            {"rating_column": "stars"},
            "x.csv:1: there is no column 'stars' for rating. Found: 'user', 'item'",
        ),
        (
            "user,item,rate\n1,2,3\n",
            {"rating_column": "rates"},
            "no column 'rates' for rating; did you mean 'rate'\\? Found",
        ),
        ("user,user,item\n1,2,3\n", {}, "there are 2 columns for user: 'user', 'user'; name it with user_column"),
        ("user,item\n1,2\n", {"rating_column": "item"}, "one column cannot have two roles"),
        (
            "user,item\n" + "u" * 600 + ",1\n",
            {},
            "x.csv:2: expected a user id of 1 to 512 characters, found one of 600",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line(
    tmp_path: Path, content: str, layout: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv", content, **layout)


def test_recbole_files_have_types_in_their_names(tmp_path: Path) -> None:
    content = 'user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t"a\t3\t881250949\n'
    table = read(tmp_path / "x.inter", content, "inter")
    assert rows(table) == [(1, '"a', 3.0, 881250949)]
    assert table.columns["timestamp"].dtype.kind == "i"


def test_udata_triples_and_pairs_need_no_names(tmp_path: Path) -> None:
    assert rows(read(tmp_path / "u.data", "196\t242\t3\t881250949\n", "udata")) == [(196, 242, 3.0, 881250949)]
    table = read(tmp_path / "x.txt", "1\t2\t30\r\n1\t3\t5\r\n", "triples")
    assert rows(table) == [(1, 2, 30.0), (1, 3, 5.0)]
    assert list(table.columns) == ["weight"]
    table = read(tmp_path / "x.txt", "1 9\n2 9\n1 7\n", "pairs")
    assert rows(table) == [(1, 9, 0), (2, 9, 0), (1, 7, 1)]
    assert table.time_is_order


@pytest.mark.parametrize(("format", "content"), [("triples", "1 2\n"), ("pairs", "1 2 3\n")])
def test_the_wrong_number_of_columns_is_refused(tmp_path: Path, format: str, content: str) -> None:
    with pytest.raises(DataError, match=r"x\.txt:1: expected lines `user item( weight)?`, found \d columns"):
        read(tmp_path / "x.txt", content, format)


def test_compressed_files_read_as_the_plain_ones(tmp_path: Path) -> None:
    content = b"user,item,note\n1,2,x\n"
    assert rows(read(tmp_path / "x.csv.gz", gzip.compress(content))) == [(1, 2)]
    with pytest.raises(DataError, match=r"x\.csv\.gz:2: expected 3 columns, found 2"):
        read(tmp_path / "x.csv.gz", gzip.compress(b"user,item,note\n1,2\n"))


def test_parquet_files_hold_integers_text_or_whole_fractions(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"user_id": ["b", "a"], "item_id": [2.0, 1.0], "stars": [1, 5], "date": [1.5, 2.0]})
    frame.write_parquet(path)
    table: Table = FORMATS.get("parquet")(path, Layout())
    assert rows(table) == [("b", 2, 1.0, 1.5), ("a", 1, 5.0, 2.0)]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1, None], "x.parquet:2: the user is missing"),
        ([1.5, 2.0], "the user ids are fractions"),
        ([3, -1], "x.parquet:2: expected a user >= 0, found -1"),
        (["a", ""], "x.parquet:2: expected a user id of 1 to 512 characters, found an empty one"),
    ],
)
def test_parquet_ids_that_cannot_be_right_are_refused_with_their_row(
    tmp_path: Path, column: list[Any], message: str
) -> None:
    path = tmp_path / "x.parquet"
    pl.DataFrame({"user": column, "item": [1, 2]}).write_parquet(path)
    with pytest.raises(DataError, match=message):
        FORMATS.get("parquet")(path, Layout())


def test_what_is_no_parquet_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"user,item\n1,2\n")
    with pytest.raises(DataError, match=r"x\.parquet: is not a parquet file: it may be text, csv for example"):
        FORMATS.get("parquet")(path, Layout())
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"x\.parquet: is not a parquet file that can be read"):
        FORMATS.get("parquet")(path, Layout())


@pytest.mark.parametrize(
    ("line", "separator"),
    [
        ("a,b", ","),
        ("a\tb c\td", "\t"),
        ("1::2::3", "::"),
        ("a b", " "),
        ("a", ","),
        ("New York;b;c", ";"),
        ("a:b|c", "|"),
        ("1\t2\tThu Oct 30 20:43:54 +0000 2003", "\t"),
        ('"a b c d"\t1', "\t"),
        ('1;"a, b, c"', ";"),
        ('"a b c",2', ","),
    ],
)
def test_the_separator_is_the_usual_one_that_occurs_most(line: str, separator: str) -> None:
    assert guess_separator(line) == separator


@pytest.mark.parametrize("line", ["7 1", "x7 1", "7", "7 1 2", "-7 1", "\n7 1"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_list_of_integers_is_read_as_polars_reads_it(
    line: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "item_list.txt"
    path.write_text(f"org_id remap_id\n30 0\n{line}{end}")

    def read() -> object:
        try:
            table = delimited.read_list(path)
        except DataError as error:
            return str(error)
        ids = [(column.names.dtype.kind, column.names[column.codes].tolist()) for column in (table.users, table.items)]
        return ids, [table.line_of(row) for row in range(len(table))]

    found = read()
    monkeypatch.setattr(delimited, "_list_of_integers", lambda path: None)
    assert found == read()


def test_lists_of_integers_do_not_need_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "item_list.txt").write_text("org_id remap_id\n30 0\n7 1\n")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert delimited.read_list(tmp_path / "item_list.txt").users.names.tolist() == [7, 30]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "user id,item id,my rating value,time stamp\n1,10,3,1600000000\n",
            r"x\.csv:2: with separator ' ' there is 1 column here and 6 in the first line; ',' gives 4 in each; set "
            r"separator=','",
        ),
        ("1,The Lord of the Rings,5\n2,Alien,3\n", r"x\.csv:2: with separator ' ' .*; ',' gives 3 in each"),
        ("a b c;d e f\n\n1;2\n", r"x\.csv:3: with separator ' ' .*; ';' gives 2 in each; set separator=';'"),
        (
            "15,97,Sun May 28 14:48:07 +0000 2017\n17,42,Wed Aug 16 08:42:55 +0000 2006\n",
            r"x\.csv:1: separator ' ' gives 6 columns in each line, and ',' gives 3; set separator=',' or "
            "separator=' '$",
        ),
        ("0;68;1;Sun Oct 04 17:43:35 +0000 2009\n", r"x\.csv:1: separator ' ' gives 6 .*, and ';' gives 4; set "),
        ("1 7 4,5 978300760\n\n1 8 3,0 978300761\n", r"x\.csv:1: separator ' ' gives 4 .*, and ',' gives 2; set "),
        ("\n1;2;1,000,000\n1;3;2,500,000\n", r"x\.csv:1: separator ',' gives 3 .*, and ';' gives 3; set "),
        ("u,i,x,y,z|r\n1|2\n", r"x\.csv:2: with separator ',' .*; '\|' gives 2 in each"),
    ],
)
def test_a_guessed_separator_that_the_next_lines_contradict_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv", text)


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ('"A,B"|2|"e"\n"a\nb"|1|"A,B"\nc|1|5\n', ["A,B", "a\nb", "c"]),
        ("1\tthe lord of it\t5\n2\talien\t3\n", [1, 2]),
        ("Anna B,Alien\nBob C,Up\n", ["Anna B", "Bob C"]),
        ("1,2,5,2020-01-01 10:00:00\n2,2,5,2020-01-02 10:00:00\n", [1, 2]),
    ],
)
def test_marks_within_values_do_not_make_a_separator_doubtful(tmp_path: Path, text: str, users: list[object]) -> None:
    table = read(tmp_path / "x.csv", text, header=False, rating_column="")
    assert table.users.names[table.users.codes].tolist() == users


def test_columns_that_are_not_used_are_named(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "user,item,price\n1,2,3\n").notes == ("x.csv: column price is not used",)
    table = read(tmp_path / "x.csv", "user,item,price,label\n1,2,3,1\n1,3,3,1\n")
    assert table.notes == ("x.csv: columns price, label are not used",)
    table = read(tmp_path / "x.csv", "1,2,3,16e8,a,b\n2,3,4,16e8,a,b\n")
    assert table.notes[-1] == "x.csv: columns 5, 6 are not used"
    pl.DataFrame({"user": [1], "item": [2], "price": [3]}).write_parquet(tmp_path / "x.parquet")
    assert FORMATS.get("parquet")(tmp_path / "x.parquet", Layout()).notes == ("x.parquet: column price is not used",)


@pytest.mark.parametrize("name", ["label", "click", "clicked", "is_click", "Label", "Click"])
def test_an_unused_label_of_0_and_1_is_pointed_out(tmp_path: Path, name: str) -> None:
    table = read(tmp_path / "x.csv", f"user,item,{name}\n1,2,0\n1,3,1\n")
    told = f"x.csv: column {name} holds 0 and 1, and rows with 0 count as interactions; set rating_column={name} "
    assert table.notes == (f"x.csv: column {name} is not used", f"{told}rating_threshold=1, or filter='{name} == 1'")
    assert read(tmp_path / "x.csv", f"user,item,{name}\n1,2,0\n1,3,1\n", rating_column=name).notes == ()


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("User-ID,ISBN,Book-Rating", ["rating"]),
        ("user_id,parent_asin,rating,timestamp", ["rating", "timestamp"]),
        ("visitorid,event,itemid,timestamp", ["timestamp"]),
        ("customer_id,article_id,price", []),
        ("session_id,item_id", []),
        ("user_id,session_id,video_id,rate", ["rating"]),
        ("user_id,business_id,stars,date,text", ["rating", "timestamp"]),
        ("user,venue_id,time", ["timestamp"]),
        ("userId,trackId,timestamp,date,time", ["timestamp"]),
    ],
)
def test_usual_names_are_known(tmp_path: Path, names: str, roles: list[str]) -> None:
    table = read(tmp_path / "x.csv", names + "\n" + ",".join(str(k) for k in range(len(names.split(",")))) + "\n")
    assert list(table.columns) == roles


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("user,track_id,artist_id", "there are 2 columns for item: 'track_id', 'artist_id'; name it with item_column"),
        ("user,asin,parent_asin", "there are 2 columns for item: 'asin', 'parent_asin'; name it with item_column"),
        ("user,movieId,ISBN", "there are 2 columns for item: 'movieId', 'ISBN'; name it with item_column"),
        (
            "visitorid,customer_id,item",
            "there are 2 columns for user: 'visitorid', 'customer_id'; name it with user_col",
        ),
        ("alice,matrix,good", r"\(if the first line is no header row, set header=false\)"),
    ],
)
def test_names_that_do_not_tell_are_refused(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "x.csv", names + "\n1,2,3\n")
