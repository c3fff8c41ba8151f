"""Tables of users and items: every form that is read, and what is wrong in others."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from recrun.data.datasets.movielens import MovieLens100K, MovieLensLatestSmall
from recrun.data.datasets.source_files import EntityFile
from recrun.data.entities import Entities, find_entities, read_entities
from recrun.errors import DataError


def read(path: Path, content: str | bytes, of: str = "user", **known: object) -> Entities:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_entities(path, of, EntityFile(path.name, **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("users.csv", 'user_id,gender,tags\n7,F,"a|b"\nx,,a\n'),
        ("users.csv", "gender;user;tags\nF;7;a|b\n;x;a\n"),
        ("users.tsv", "userId\tgender\ttags\n7\tF\ta|b\n\nx\t\ta\n"),
        ("data.user", "user_id:token\tgender:token\ttags:token_seq\n7\tF\ta b\nx\t\ta\n"),
        ("users.dat", "UserID::gender::tags\r\n7::F::a|b\r\nx::::a\r\n"),
        ("users.csv", "\ufeffperson,gender,tags\n7, F ,a|b|a\nx,  ,a|\n"),  # the first column is the id
    ],
)
def test_a_table_has_the_values_of_each_id(tmp_path: Path, name: str, content: str) -> None:
    table = read(tmp_path / name, content)
    assert list(table.ids) == ["7", "x"]
    assert table.columns == {"gender": [("F",), ()], "tags": [("a", "b"), ("a",)]}


def test_a_parquet_table_may_hold_numbers_nulls_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [3, 5], "year": [1995, None], "genres": [["a", "b"], []]}).write_parquet(path)
    table = read_entities(path, "item", EntityFile(path.name))
    assert list(table.ids) == ["3", "5"]
    assert table.columns == {"year": [("1995",), ()], "genres": [("a", "b"), ()]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "NA", "NaN", "-"], [("1",), ("2.5",), (), (), ()]),
        (["DE", "NA", "nan", "", "(missing)"], [("DE",), ("NA",), ("nan",), (), ()]),
        (["null", "NA"], [(), ()]),
    ],
)
def test_words_for_missing_values_are_missing_beside_numbers_alone(
    tmp_path: Path, cells: list[str], expected: list[tuple[str, ...]]
) -> None:
    lines = "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    assert read(tmp_path / "users.csv", f"user_id,c\n{lines}").columns["c"] == expected


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    table = read(tmp_path / "data.item", "item_id:token\ttitle:token\n1\ta\x85b\u2028c\n".encode(), "item")
    assert table.columns == {"title": [("a\x85b\u2028c",)]}


def test_a_compressed_table_is_read(tmp_path: Path) -> None:
    content = gzip.compress(b"user,gender\n1,F\n")
    assert read(tmp_path / "users.csv.gz", content).columns == {"gender": [("F",)]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1|24|M\n2|53|F\n", "users.csv:1: its first line must name the columns"),
        ("user,gender\n1,F\n1,M\n", "id '1' is there twice; each must have one row"),
        ("user,gender\n1,F\n2\n", "users.csv:3: expected 2 columns, as in its head, found 1"),
        ("1,F\n2,M\n", "users.csv:1: its first line must name the columns"),
        ("", "its first line must name the columns"),
        ("user,a,a\n1,2,3\n", "two columns are called 'a'"),
        (b"user,gender\n1,\xff\n", "is not text in UTF-8 (byte 15); convert it"),
        ('user,gender\n1,"F\n', "cannot be read as a table"),
    ],
)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path / "users.csv", content)
    assert message in str(raised.value)


def test_a_data_set_without_a_table_has_none_and_a_chosen_file_must_be_there(tmp_path: Path) -> None:
    bare: Any = SimpleNamespace(entity_files={}, files={})
    assert find_entities(bare, "user", None, tmp_path) is None
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.csv, which user_file names"):
        find_entities(bare, "user", "nowhere.csv", tmp_path)
    (tmp_path / "here.csv.gz").write_bytes(gzip.compress(b"user,a\n1,2\n"))
    found = find_entities(bare, "user", "here.csv", tmp_path)
    assert found is not None
    assert list(found.columns) == ["a"]


def test_the_tables_of_movielens_100k_have_genders_and_genres(shared_data: Path) -> None:
    dataset = MovieLens100K(shared_data)
    users, items = (find_entities(dataset, of, None, shared_data) for of in ("user", "item"))  # type: ignore[arg-type]
    assert users is not None
    assert items is not None
    assert (len(users.ids), len(items.ids)) == (943, 1682)
    assert list(users.columns) == ["age", "gender", "occupation", "zip_code"]
    assert sorted(set(users.columns["gender"])) == [("F",), ("M",)]
    first = {name: values[items.ids.index("1")] for name, values in items.columns.items()}
    assert first["title"] == ("Toy Story (1995)",)
    assert first["genres"] == ("Animation", "Children's", "Comedy")


def test_the_films_of_movielens_latest_small_have_genres(shared_data: Path) -> None:
    items = find_entities(MovieLensLatestSmall(shared_data), "item", None, shared_data)
    assert items is not None
    assert items.columns["genres"][0] == ("Adventure", "Animation", "Children", "Comedy", "Fantasy")
