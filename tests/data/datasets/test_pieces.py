"""A folder or a pattern of files is read as one table, or refused by the name of the file that does not fit."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recrun.data.datasets import File, LabelledFile
from recrun.data.describe.files import describe_path
from recrun.data.describe.find_data import describe_data, open_data
from recrun.errors import DataError

ROWS = [(user, item, (user * item) % 5 + 1, 978300000 + 1000 * user + item) for user in range(8) for item in range(9)]
HEAD = "user,item,rating,timestamp\n"


def csv(rows: list[tuple[Any, ...]], head: str = HEAD) -> str:
    return head + "".join(",".join(map(str, row)) + "\n" for row in rows)


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def gzipped(text: str) -> bytes:
    return gzip.compress(text.encode())


def parquet(rows: list[tuple[Any, ...]], **others: Any) -> bytes:
    import io

    out = io.BytesIO()
    columns = dict(zip(("user", "item", "rating", "timestamp"), zip(*rows, strict=True), strict=True)) if rows else {}
    schema = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Int64, "timestamp": pl.Int64}
    pl.DataFrame(columns | others, schema=schema if not others else None).write_parquet(out)
    return out.getvalue()


def jsonl(rows: list[tuple[Any, ...]]) -> str:
    return "".join(
        json.dumps(dict(zip(("user", "item", "rating", "timestamp"), row, strict=True))) + "\n" for row in rows
    )


LAYOUTS: dict[str, tuple[dict[str, str | bytes], str]] = {
    "a folder of csv": ({"d/b.csv": csv(ROWS[:20]), "d/a.csv": csv(ROWS[20:])}, "d"),
    "a folder with a slash": ({"d/b.csv": csv(ROWS[:20]), "d/a.csv": csv(ROWS[20:])}, "d/"),
    "a pattern": ({"d/b.csv": csv(ROWS[:20]), "d/a.csv": csv(ROWS[20:]), "d/c.txt": "no"}, "d/*.csv"),
    "a pattern over folders": ({"x/1/a.csv": csv(ROWS[:9]), "x/2/a.csv": csv(ROWS[9:])}, "x/*/a.csv"),
    "a pattern of one letter": ({"a1.csv": csv(ROWS[:9]), "a2.csv": csv(ROWS[9:]), "b.csv": "no"}, "a?.csv"),
    "a pattern of several": ({"a1.csv": csv(ROWS[:9]), "a2.csv": csv(ROWS[9:]), "a3.csv": "no"}, "a[12].csv"),
    "compressed": ({"d/a.csv.gz": gzipped(csv(ROWS[:9])), "d/b.csv.gz": gzipped(csv(ROWS[9:]))}, "d"),
    "plain and compressed": ({"d/a.csv": csv(ROWS[:9]), "d/b.csv.gz": gzipped(csv(ROWS[9:]))}, "d/*"),
    "Spark's parquet": (
        {
            "x.parquet/part-0.snappy.parquet": parquet(ROWS[:9]),
            "x.parquet/part-1.snappy.parquet": parquet(ROWS[9:]),
            "x.parquet/part-2.snappy.parquet": parquet([]),
            "x.parquet/part-3.snappy.parquet": parquet([]),
            "x.parquet/_SUCCESS": "",
            "x.parquet/_metadata": "PAR1",
            "x.parquet/.part-0.snappy.parquet.crc": "crc",
        },
        "x.parquet",
    ),
    "Spark's csv": (
        {"x/part-0.csv": csv(ROWS[:9]), "x/part-1.csv": csv(ROWS[9:]), "x/part-2.csv": "", "x/part-3.csv": HEAD},
        "x",
    ),
    "JSON lines": ({"x/0.jsonl": jsonl(ROWS[:9]), "x/1.jsonl": jsonl(ROWS[9:])}, "x"),
    "one file": ({"x/a.csv": csv(ROWS)}, "x"),
}


@pytest.mark.parametrize("what", LAYOUTS)
def test_files_are_read_as_the_one_file_that_they_make(tmp_path: Path, what: str) -> None:
    files, path = LAYOUTS[what]
    write(tmp_path, files | {"whole.csv": csv(ROWS)})
    settings = {"format": "csv"} if path == "d/*" else {}
    data = File(tmp_path, path=path, split="leave_one_out", **settings)
    one = File(tmp_path, path="whole.csv", split="leave_one_out")
    assert data.hashes["split"] == one.hashes["split"]
    assert {name.partition(": ")[0] for name in data.hashes} == {path, "split"}


@pytest.mark.parametrize("what", LAYOUTS)
def test_the_description_proposes_a_command_that_reads_them(tmp_path: Path, what: str) -> None:
    files, path = LAYOUTS[what]
    write(tmp_path, files)
    description = describe_data(str(tmp_path / path), ["format=csv"] if path == "d/*" else [])
    assert description.is_usable, [fault.message for report in description.files for fault in report.faults]
    settings = {key: value for key, value in description.settings.items() if key not in ("dataset", "root")}
    data = File(description.settings["root"], **settings)
    assert sum(len(data.interactions(part)) for part in ("train", "valid", "test")) == len(ROWS)
    opened = open_data(str(tmp_path / path), ["format=csv"] if path == "d/*" else [])
    assert opened.hashes["split"] == data.hashes["split"]


def test_a_changed_or_further_file_changes_the_data(tmp_path: Path) -> None:
    write(tmp_path, {"d/a.csv": csv(ROWS[:20]), "d/b.csv": csv(ROWS[20:40])})
    first = File(tmp_path, path="d")
    assert set(first.hashes) == {"d: a.csv", "d: b.csv", "split"}
    write(tmp_path, {"d/c.csv": csv(ROWS[40:])})
    assert sum(len(File(tmp_path, path="d").interactions(part)) for part in ("train", "valid", "test")) == len(ROWS)
    write(tmp_path, {"d/c.csv": csv(ROWS[50:])})
    assert (
        sum(len(File(tmp_path, path="d").interactions(part)) for part in ("train", "valid", "test")) == len(ROWS) - 10
    )


OTHER_HEAD = "item,user,rating,timestamp\n"
BAD: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "other columns": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": csv(ROWS[9:], OTHER_HEAD)},
        "d",
        "d/b.csv: its columns (item, user, rating, timestamp) are not those of a.csv (user, item, rating, timestamp)",
    ),
    "a column less": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": csv([row[:3] for row in ROWS[9:]], "user,item,rating\n")},
        "d",
        "d/b.csv: its columns (user, item, rating) are not those of a.csv (user, item, rating, timestamp)",
    ),
    "no header in one": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": csv(ROWS[9:], "")},
        "d",
        "d/b.csv: its columns (1, 2, 3, 4) are not those of a.csv (user, item, rating, timestamp)",
    ),
    "JSON of other keys": (
        {"d/a.jsonl": jsonl(ROWS[:9]), "d/b.jsonl": '{"user": 1, "item": 2}\n'},
        "d",
        "d/b.jsonl: its columns (none) are not those of a.jsonl (rating, timestamp)",
    ),
    "dates in one": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": HEAD + "1,1,1,2001-02-03\n"},
        "d",
        "d/b.csv: it holds dates where a.csv holds rating, timestamp",
    ),
    "milliseconds in one": (
        {"d/a.csv": csv(ROWS), "d/b.csv": HEAD + "90,1,1,978300000000\n"},
        "d",
        "d/b.csv:2: expected seconds since 1970 as most times of the column, found 978300000000, which looks like",
    ),
    "an id with blanks in one": (
        {"d/a.csv": "user,item\nann,1\nbob,2\n", "d/b.csv": "user,item\nbob,3\nann ,4\n"},
        "d",
        "d/b.csv:3: the user is 'ann ', which differs from 'ann' (d/a.csv:2) only by the blanks around it; write both",
    ),
    "a bad row in the second": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": csv(ROWS[9:12]) + "1,2\n"},
        "d",
        "d/b.csv:5: expected 4 columns, found 2: '1,2'",
    ),
    "one that is something else": (
        {"d/a.csv": csv(ROWS[:9]), "d/b.csv": gzipped(csv(ROWS[9:]))},
        "d",
        "d/b.csv: is compressed with gzip, and its name does not say so: mv b.csv b.csv.gz",
    ),
    "the same twice": (
        {"d/a.csv": csv(ROWS), "d/a.csv.gz": gzipped(csv(ROWS))},
        "d",
        "d: a.csv.gz and d: a.csv hold the same, and would be read as one table; remove one of them",
    ),
    "partitions": (
        {"x.parquet/day=2024-01-01/part-0.parquet": parquet(ROWS)},
        "x.parquet",
        "x.parquet: holds partitions such as day=2024-01-01/, whose names are a column that is not read",
    ),
    "folders": ({"d.csv/more/a.csv": csv(ROWS)}, "d.csv", "d.csv: holds the folder more; name the files"),
    "nothing": ({"d.csv/.keep": ""}, "d.csv", "d.csv: there is no file in it"),
    "nothing that matches": ({"d/a.csv": csv(ROWS)}, "d/*.tsv", "d/*.tsv: no file matches"),
    "only empty ones": ({"d/a.csv": "", "d/b.csv": HEAD}, "d", "d: none of its 2 files holds an interaction"),
}


@pytest.mark.parametrize("what", BAD)
def test_files_that_do_not_go_together_are_refused_by_name(tmp_path: Path, what: str) -> None:
    files, path, message = BAD[what]
    write(tmp_path, files)
    with pytest.raises(DataError) as caught:
        File(tmp_path, path=path)
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(message)
    description = describe_path(tmp_path / path, {})
    assert not description.is_usable


def test_lines_of_one_user_in_two_files_of_sequences_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"d/a.txt": "1 5 6 7\n2 5 6\n", "d/b.txt": "3 5 6\n1 8 9\n"})
    with pytest.raises(DataError) as caught:
        File(tmp_path, path="d", format="sequences")
    message = "user 1 has a line in a.txt too; the history of a user must stand in one line"
    assert str(caught.value) == f"{tmp_path}/d/b.txt:2: {message}"


def test_pairs_are_in_the_order_of_the_files_and_then_of_the_lines(tmp_path: Path) -> None:
    write(tmp_path, {"d/b.txt": "1 7\n1 8\n2 9\n", "d/a.txt": "1 5\n2 5\n1 6\n"})
    data = File(tmp_path, path="d", format="pairs", split="leave_one_out", valid_ratio=0)
    held_out = data.interactions("test")
    assert data.item_ids[held_out.items].tolist() == [8, 9]
    assert data.interactions("train").columns["timestamp"].tolist() == [0, 1, 2, 0]
    assert "d: 2 files, in the order of their names" in data.notes


def test_an_overlap_of_parts_names_the_file_in_the_folder(tmp_path: Path) -> None:
    write(tmp_path, {"d/a.csv": csv(ROWS[:9]), "d/b.csv": csv(ROWS[9:20]), "t.csv": csv([ROWS[15]])})
    with pytest.raises(DataError) as caught:
        File(tmp_path, train_path="d", test_path="t.csv")
    assert str(caught.value).startswith(f"{tmp_path}/t.csv:2: user 1 and item 6 are in {tmp_path}/d/b.csv:8 too")
    with pytest.raises(DataError, match=r"two parts hold the same: train \(d\) and test \(\./d\)"):
        File(tmp_path, train_path="d", test_path="./d")


def test_the_description_names_the_file_of_each_line(tmp_path: Path) -> None:
    write(tmp_path, {"d/a.csv": csv(ROWS[:9]) + "1,2\n", "d/b.csv": csv(ROWS[9:12]) + "1,,3,4\n"})
    description = describe_path(tmp_path / "d", {})
    found = {fault.kind: fault.lines for fault in description.files[0].faults}
    assert found["ragged"] == [(11, "a.csv: expected 4 columns, found 2: '1,2'")]
    assert found["missing-value"] == [
        (5, "b.csv: the item is missing (column 'item'); drop_missing=[item] leaves such rows out")
    ]


def test_labelled_rows_are_read_from_single_files(tmp_path: Path) -> None:
    write(tmp_path, {"d/a.csv": "label,x\n0,1\n"})
    with pytest.raises(DataError, match=r"d \(which is a folder\)"):
        LabelledFile(tmp_path, path="d", sparse_columns=["x"])
