"""What is told from the first lines of a file, and that nothing but a DataError comes of any."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recrun.data.describe import guess_layout
from recrun.data.describe.file_type import guess_encoding, is_parquet, survey
from recrun.data.describe.guess_columns import guess_roles
from recrun.data.describe.layout import Sniffed, sniff
from recrun.data.describe.problems import Faults
from recrun.data.formats.table import shown
from recrun.errors import DataError

TIMES = [978_300_000 + 17 * i for i in range(30)]
ROWS = [(i % 7, 100 + i % 11, 1 + i % 5, TIMES[i]) for i in range(30)]


def sniffed(folder: Path, name: str, content: str | bytes, **given: Any) -> Sniffed:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return sniff(path, given, Faults(path))


def lines(separator: str, *, head: str = "", width: int = 4, rows: list[tuple[Any, ...]] = ROWS) -> str:
    text = "".join(separator.join(map(str, row[:width])) + "\n" for row in rows)
    return (head.replace(",", separator) + "\n" if head else "") + text


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " ", "||", "\x01", "^", "~"])
@pytest.mark.parametrize("head", ["", "user_id,item_id,rating,timestamp"])
def test_separators_and_header_rows_are_found(tmp_path: Path, separator: str, head: str) -> None:
    found = sniffed(tmp_path, "x.dat", lines(separator, head=head))
    assert (found.separator, found.has_header) == (separator, bool(head))
    assert found.roles == {"user": 0, "item": 1, "rating": 2, "timestamp": 3}
    assert found.format == ("csv" if separator != "\t" else "tsv" if head else "udata")


INTEGERS = "".join(f"{u} {' '.join(map(str, range(u + 1)))}\n" for u in range(9))
COUNTS = [(u, i, 1000 * r) for u, i, r, _ in ROWS]
TIMES_THIRD = [(u, i, t, r) for u, i, r, t in ROWS]
TIMES_FIFTH = [(u, i, r, "x", t) for u, i, r, t in ROWS]


@pytest.mark.parametrize(
    ("name", "content", "format", "told"),
    [
        ("train.txt", INTEGERS, "lightgcn", {"format": "lightgcn"}),
        ("x.txt", lines(" ", width=2), "csv", {"format": "csv"}),
        ("x.txt", lines("\t", rows=COUNTS), "triples", {"format": "triples"}),
        ("u.data", lines("\t"), "udata", {}),
        ("u.base", lines("\t"), "udata", {}),
        ("x.inter", lines("\t", head="user_id:token,item_id:token,rating:float,timestamp:float"), "inter", {}),
        ("x.tsv", lines("\t"), "tsv", {}),
        ("x.csv", lines(";", head="user,item,rating,time"), "csv", {}),
        ("x.inter", lines("\t"), "udata", {"format": "udata"}),
        ("u.data", lines("::"), "csv", {"format": "csv"}),
        ("u.data", lines("\t", head="user,item,rating,time"), "tsv", {"format": "tsv"}),
        ("x.csv", lines(",", rows=TIMES_THIRD, width=3), "csv", {"time_column": "3", "rating_column": ""}),
        ("x.csv", lines(",", rows=TIMES_THIRD), "csv", {"time_column": "3", "rating_column": "4"}),
        ("x.csv", lines(",", rows=TIMES_FIFTH, width=5), "csv", {"time_column": "5"}),
        ("x.csv", lines(",", head="buyer,sku,grade,when"), "csv", {
            "user_column": "buyer", "item_column": "sku", "rating_column": "grade", "time_column": "when",
        }),
        ("x.csv", lines(",", head="user,item,title,note"), "csv", {}),
    ],
)  # fmt: skip
def test_formats_and_the_settings_that_say_them_are_found(
    tmp_path: Path, name: str, content: str, format: str, told: dict[str, Any]
) -> None:
    found = sniffed(tmp_path, name, content)
    assert (found.format, found.settings) == (format, told)
    compressed = sniffed(tmp_path, f"{name}.gz", gzip.compress(content.encode()))
    assert (compressed.format, compressed.settings) == (format, told)


def test_what_was_set_is_kept(tmp_path: Path) -> None:
    given = {"format": "csv", "separator": ";", "header": False, "user_column": "2", "item_column": "1"}
    found = sniffed(tmp_path, "x.csv", lines(";", head="1,2,3,4"), **given)
    assert {key: found.settings[key] for key in given} == given
    assert (found.roles["user"], found.roles["item"]) == (1, 0)


def test_other_ways_to_take_a_file_are_named(tmp_path: Path) -> None:
    pairs = sniffed(tmp_path, "x.txt", lines(" ", width=2))
    assert pairs.alternatives == ["format=pairs, if each user's lines stand in the order of time"]
    integers = sniffed(tmp_path, "y.txt", "1 2 3\n2 3 4 5\n")
    assert integers.alternatives == ["format=sequences, if the items of each line stand in the order of time"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("é,1\n".encode(), "utf-8"),
        ("é,1\n".encode("latin-1"), "latin-1"),
        ("“é”,1\n".encode("cp1252"), "cp1252"),
        ("é,1\n".encode("utf-16"), "utf-16"),
        ("user,item\n1,2\n".encode("utf-16-le"), "utf-16-le"),
        ("user,item\n1,2\n".encode("utf-16-be"), "utf-16-be"),
        (b"\x81\xe9,1\n", "latin-1"),
    ],
)
def test_encodings_are_told_from_the_bytes(tmp_path: Path, content: bytes, encoding: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert guess_encoding(path, survey(path)) == encoding


def test_bytes_are_counted_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recrun.data.describe.file_type.BLOCK", 3)
    path = tmp_path / "x.csv"
    path.write_bytes("ab\r\nc\rd\né\r\n".encode())
    found = survey(path)
    assert (found.n_newlines, found.n_windows, found.n_returns, found.n_zeros, found.is_utf8) == (3, 2, 1, 0, True)
    path.write_bytes("abé".encode()[:-1])
    assert not survey(path).is_utf8


def test_a_parquet_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PAR1...")
    assert is_parquet(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"user,item")
    assert not is_parquet(tmp_path / "x")


@pytest.mark.parametrize(
    ("rows", "separator"),
    [
        (["a,b", "c,d"], ","),
        (["1|Toy Story||x", "2|Heat||y"], "|"),
        (["a||b", "c||d"], "||"),
        (["a b,c", "d e f,g"], ","),
        (["2001-01-01 10:00,1", "2001-01-01 11:00,2"], ","),
        (['"a;b",c', '"d",e'], ","),
        (["one", "two"], None),
        (["some words here", "and some more of them"], None),
    ],
)
def test_a_separator_cuts_most_lines_into_equally_many(rows: list[str], separator: str | None) -> None:
    assert guess_layout.find_separator(rows) == separator


@pytest.mark.parametrize(
    ("first", "below", "is_header"),
    [
        (["user", "item"], [["a", "b"], ["x", "y"]], True),
        (["user", "item", "2020"], [["1"], ["2"], ["3"]], True),
        (["user", "17"], [["1"], ["2"]], False),
        (["alice", "matrix"], [["alice", "bob"], ["heat", "brazil"]], False),
        (["alice", "matrix"], [["carol", "bob"], ["heat", "brazil"]], False),
        (["buyer", "film"], [["carol", "bob"], ["heat", "brazil"]], True),
        (["what", "ever"], [["carol", "bob"], ["1", "2"]], True),
        (["1", "2"], [["3"], ["4"]], False),
    ],
)
def test_a_header_row_is_told_by_names_and_values(first: list[str], below: list[list[str]], is_header: bool) -> None:
    assert guess_layout.has_header(first, below) == is_header


def test_roles_follow_names_and_values() -> None:
    columns = [["1", "2"], ["x", "y"], ["978300000", "978300001"], ["4", "5"]]
    names = ["member no", "book", "created_at", "grade"]
    assert guess_roles(names, columns, ("user", "item", "rating", "timestamp"), []) == {
        "user": 0,
        "item": 1,
        "rating": 3,
        "timestamp": 2,
    }
    assert guess_roles(names, columns, ("rating",), [3]) == {}


def test_text_is_shown_short() -> None:
    assert shown("a" * 100) == repr("a" * 80 + "...")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    name=st.sampled_from(["x.csv", "x.txt", "x.tsv", "x.inter", "u.data", "x.parquet", "x.gz", "x"]),
    given=st.fixed_dictionaries(
        {},
        optional={
            "format": st.sampled_from(["csv", "tsv", "inter", "udata", "triples", "pairs", "lightgcn", "parquet"]),
            "separator": st.sampled_from([",", "::", " ", "x", '"']),
            "header": st.booleans(),
            "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16", "ascii", "rot13", "nonsense"]),
            "user_column": st.sampled_from(["", "1", "user", "nobody"]),
            "time_column": st.sampled_from(["", "2", "time"]),
        },
    ),
)
def test_any_bytes_give_a_layout_or_a_data_error(
    tmp_path: Path, content: bytes, name: str, given: dict[str, Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    faults = Faults(path)
    try:
        found = sniff(path, given, faults)
    except DataError:
        return
    assert all(0 <= place < len(found.names) for place in found.roles.values())
    assert found.document()["format"] == found.format
    assert all(fault.document()["path"] == str(path) for fault in faults)
