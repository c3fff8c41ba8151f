"""Lists of ids are read from text, tables, JSON lines and parquet; faults name the line."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from recrun.errors import DataError
from recrun.recommendation.read_ids import read_ids


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ids.txt", "3\n\n1\n2\n"),
        ("ids", "3\r\n1\r\n2"),
        ("ids.csv", "user\n3\n1\n2\n"),
        ("ids.csv", "3\n1\n2\n"),
        ("ids.csv", 'age,user_id\n20,3\n30,"1"\n40,2\n'),
        ("ids.tsv", "user_id:token\tage:float\n3\t1\n1\t1\n2\t1\n"),
        ("ids.jsonl", '{"user": 3, "age": 20}\n{"age": 1, "user": "1"}\n2\n'),
        ("ids.CSV", "\ufeffuser\n3\n1\n2\n"),
    ],
)
def test_ids_are_read_in_their_order(tmp_path: Path, name: str, text: str) -> None:
    assert read_ids(_file(tmp_path, name, text), "user").tolist() == ["3", "1", "2"]


def test_a_line_of_text_is_one_id_whatever_it_holds(tmp_path: Path) -> None:
    assert read_ids(_file(tmp_path, "ids.txt", "a, b\nc\td\n"), "item").tolist() == ["a, b", "c\td"]


def test_compressed_lists_are_read(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv.gz"
    path.write_bytes(gzip.compress(b"item\n5\n"))
    assert read_ids(path, "item").tolist() == ["5"]


@pytest.mark.parametrize("name", ["ids.parquet", "ids.pq"])
def test_a_column_of_parquet_is_read_in_its_type(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    pl.DataFrame({"age": [1, 2], "user": [9, 8]}).write_parquet(path)
    assert read_ids(path, "user").tolist() == [9, 8]
    pl.DataFrame({"anything": ["x", "y"]}).write_parquet(path)
    assert read_ids(path, "user").tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ids.csv", "age,town\n1,2\n", "which column holds the users? Call it 'user'. Found: 'age', 'town'"),
        ("ids.csv", "user,user\n1,2\n", "several columns may hold the users"),
        ("ids.csv", "user,age\n1\n", "ids.csv:2: expected 2 columns, as on its first line, found 1"),
        ("ids.csv", 'user\n"1\n', "cannot be read as a table"),
        ("ids.csv", "user,age\n,1\n", "ids.csv:2: the user is missing"),
        ("ids.jsonl", "{\n", "ids.jsonl:1: is not JSON"),
        ("ids.jsonl", "[1]\n", "ids.jsonl:1: expected the id of a user, a number or text, found list"),
        ("ids.jsonl", '{"user": 1.5}\n', "found float"),
        ("ids.jsonl", '{"user": true}\n', "found bool"),
        ("ids.jsonl", "[" * 100_000, "is not JSON"),
        ("ids.txt", "\n\n", "lists no users"),
        ("ids.csv", "user\n", "lists no users"),
        ("ids.txt", "x" * 600, "ids.txt:1: the user is longer than 512 characters"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        read_ids(_file(tmp_path, name, text), "user")
    assert message in str(raised.value)


def test_text_in_another_encoding_and_what_is_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(b"\xff\xfe1")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        read_ids(path, "user")
    with pytest.raises(DataError, match=r"ids\.csv"):
        read_ids(tmp_path / "ids.csv", "user")
    with pytest.raises(DataError, match=str(tmp_path)):
        read_ids(tmp_path, "user")


def test_missing_and_fractional_ids_of_parquet_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.parquet"
    pl.DataFrame({"user": [1, None]}).write_parquet(path)
    with pytest.raises(DataError, match="the user of row 2 is missing"):
        read_ids(path, "user")
    pl.DataFrame({"user": [1.5]}).write_parquet(path)
    with pytest.raises(DataError, match="users must be integers or text, found Float64"):
        read_ids(path, "user")
