"""`recrun data split` and `recrun data convert`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ["n_users=40", "n_items=30", "n_interactions=500"]


def test_the_parts_of_a_data_set_are_written_and_read_as_it_says(recrun: Callable[..., Any], tmp_path: Path) -> None:
    outcome = recrun("data", "split", "Synthetic", *SMALL, "split=leave_k", "n_held_out=2", "--to", "new/parts")
    assert outcome.code == 0, outcome.err
    settings = outcome.out.splitlines()[-1].partition("read them with: ")[2].split()
    assert settings[0] == "dataset=File"
    assert recrun("train", "popularity", *settings, "-q").code == 0


def test_the_data_of_a_config_is_written_with_overrides(recrun: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: popularity\nn_users: 40\nn_items: 30\nn_interactions: 500\n")
    outcome = recrun("data", "split", "mine.yaml", "valid_ratio=0", "--to", "parts", "--format", "inter", "--json")
    document = json.loads(outcome.out)
    assert sorted(document["files"]) == ["test", "train"]
    assert sum(document["rows"].values()) == 500
    assert (tmp_path / "parts/train.inter").read_text().startswith("user_id:token\titem_id:token\ttimestamp:float\n")


def test_a_file_is_converted_as_its_filters_leave_it(recrun: Callable[..., Any], tmp_path: Path) -> None:
    rows = "".join(f"u{n % 4},i{n},{n % 5}\n" for n in range(20))
    (tmp_path / "ratings.csv").write_text("user,item,rating\n" + rows)
    arguments = ["data", "convert", "ratings.csv", "rating_threshold=3", "--to", "liked.parquet"]
    outcome = recrun(*arguments)
    assert (outcome.code, outcome.out) == (0, "wrote liked.parquet (8 rows)\n")
    outcome = recrun(*arguments)
    assert outcome.code == 2
    assert "already exists; choose a new" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            "out.xlsx",
            "the name of out.xlsx does not tell its format; end it in .csv, .parquet, .inter, or give --format",
        ),
        ("out", "the name of out does not tell its format; end it in .csv, .parquet, .inter, or give --format"),
        ("out.parquet --format csv", "out.parquet does not end as csv files do; give --format parquet"),
        ("out.csv --format inter", "out.csv does not end as inter files do; give --format csv"),
        ("out.tsv --format csv", "out.tsv does not end as csv files do; give a name that ends in .csv"),
        ("out.csv.gz", "out.csv.gz would not be compressed, as its name says; leave .gz out"),
    ],
)
def test_no_file_is_written_under_a_name_that_tells_another_format(
    recrun: Callable[..., Any], arguments: str, error: str
) -> None:
    outcome = recrun("data", "convert", "Synthetic", *SMALL, "--to", *arguments.split())
    assert (outcome.code, outcome.err) == (2, f"error: {error}\n")
    assert list(outcome.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "begin"),
    [
        ("out.parquet", b"PAR1"),
        ("out.PQ --format parquet", b"PAR1"),
        ("out.inter", b"user_id:"),
        ("out.CSV", b"user,item"),
        ("out.txt --format csv", b"user,item"),
    ],
)
def test_the_name_of_a_file_chooses_its_format(recrun: Callable[..., Any], arguments: str, begin: bytes) -> None:
    outcome = recrun("data", "convert", "Synthetic", *SMALL, "--to", *arguments.split())
    assert (outcome.code, outcome.err) == (0, "")
    assert (outcome.folder / arguments.split()[0]).read_bytes().startswith(begin)


def test_what_the_format_cannot_hold_is_said(recrun: Callable[..., Any]) -> None:
    outcome = recrun("data", "convert", "Synthetic", *SMALL, "--to", "all.txt", "--format", "lightgcn")
    assert outcome.code == 0
    assert "warning: the format cannot hold timestamp; left out" in outcome.err


def test_unknown_data_and_settings_are_refused(recrun: Callable[..., Any], tmp_path: Path) -> None:
    for arguments in (["Nothing"], ["Synthetic", "n_usrs=3"], ["Synthetic", "split=k_fold", "test_fold=9"]):
        assert recrun("data", "split", *arguments, "--to", "parts").code == 2
    assert list(tmp_path.iterdir()) == []


def _odd_file(folder: Path) -> None:
    rows = (f'"{n % 5}",Ann,{n // 5:03d},{n % 5}.1,0{1 + n % 9}/04/2021,"a ""b"", c"\n' for n in range(60))
    text = "user_id,user,the item,rating,day of it,note\n" + "".join(rows)
    (folder / "odd.csv").write_text(text.replace("01/04/2021", "13/04/2021", 1), encoding="utf-8")


READ = ("user_column=user_id", "item_column=the item", "time_column=day of it")


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
def test_the_printed_settings_read_all_columns_again(recrun: Callable[..., Any], tmp_path: Path, format: str) -> None:
    _odd_file(tmp_path)
    arguments = ["odd.csv", *READ, "split=leave_one_out"]
    outcome = recrun("data", "split", *arguments, "--to", "a/b/my parts", "--format", format)
    assert outcome.code == 0, outcome.err
    settings = shlex.split(outcome.out.splitlines()[-1].partition("read them with: ")[2])
    assert settings[:2] == ["dataset=File", "root=a/b/my parts"]
    assert 'time_format="%d/%m/%Y"' in settings
    direct = recrun(
        "train", "popularity", "dataset=File", "root=.", "path=odd.csv", *READ, "split=leave_one_out", "--json"
    )
    again = recrun("train", "popularity", *settings, "--json")
    assert (direct.code, again.code) == (0, 0), again.err
    assert json.loads(again.out)["valid"] == json.loads(direct.out)["valid"]
    assert json.loads(again.out)["test"] == json.loads(direct.out)["test"]


def test_what_reads_a_converted_file_is_printed(recrun: Callable[..., Any], tmp_path: Path) -> None:
    _odd_file(tmp_path)
    outcome = recrun("data", "convert", "odd.csv", *READ, "--to", "x/y/all.csv")
    assert outcome.code == 0, outcome.err
    line = outcome.out.splitlines()[-1]
    assert line.startswith(
        "read it with: dataset=File root=x/y path=all.csv user_column=user_id 'item_column=the item'"
    )
    assert recrun("train", "popularity", *shlex.split(line.partition("with: ")[2]), "-q").code == 0
    assert set((tmp_path / "x/y/all.csv").read_text().splitlines()) == {
        line.replace('"0"', "0").replace('"1"', "1").replace('"2"', "2").replace('"3"', "3").replace('"4"', "4")
        for line in (tmp_path / "odd.csv").read_text().splitlines()
    }


def test_parts_without_a_valid_part_are_read_without_one(recrun: Callable[..., Any], tmp_path: Path) -> None:
    outcome = recrun("data", "split", "Synthetic", *SMALL, "valid_ratio=0", "--to", "parts")
    assert outcome.out.splitlines()[-1].endswith("train_path=train.csv test_path=test.csv valid_ratio=0")


@pytest.mark.parametrize("format", ["csv", "inter"])
def test_lists_are_refused_before_anything_is_written(recrun: Callable[..., Any], tmp_path: Path, format: str) -> None:
    pl = pytest.importorskip("polars")
    rows = {"user": [n % 5 for n in range(50)], "item": [n // 5 for n in range(50)], "tags": [["a"]] * 50}
    pl.DataFrame(rows).write_parquet(tmp_path / "lists.parquet")
    outcome = recrun("data", "split", "lists.parquet", "--to", "parts", "--format", format)
    assert outcome.code == 2
    assert f"column 'tags' holds List(String), which {format} cannot hold; choose parquet" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["lists.parquet"]
