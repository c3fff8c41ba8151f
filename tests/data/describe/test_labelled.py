"""Describing files of labelled rows; and that training reads them with the config that the description gives."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets import LabelledFile
from recrun.data.describe.files import describe_dataset
from recrun.data.describe.labelled import describe_rows, is_labelled

ROWS = "click,age,code,city\n" + "".join(
    f"{n % 2},{'' if n % 5 == 0 else n},0{n % 3}x,{'AB'[n % 2]}\n" for n in range(40)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_each_column_is_described_and_guessed(file: Path) -> None:
    description = describe_rows(file, {})
    assert description.is_usable
    assert description.settings == {
        "dataset": "LabelledFile",
        "root": str(file.parent),
        "path": "log.txt",
        "label_column": "click",
        "sparse_columns": ["code", "city"],
        "dense_columns": ["age"],
        "dense_na_value": 0.0,
    }
    figures = description.statistics["labelled"]
    assert (figures["rows"], figures["share_labelled_1"], figures["train"]) == (40, 0.5, 32)
    columns = {each["name"]: each for each in figures["columns"]}
    assert columns["age"] == {
        "name": "age", "role": "dense", "missing": 8, "distinct": 32, "min": 1.0, "mean": 20.0, "max": 39.0
    }  # fmt: skip
    assert (columns["code"]["role"], columns["code"]["distinct"], columns["click"]["role"]) == ("sparse", 3, "label")


def test_the_command_that_is_shown_reads_the_file(file: Path) -> None:
    command = shlex.split(describe_rows(file, {}).command)
    assert command[:3] == ["recrun", "train", "deepfm"]
    resolved = resolve("deepfm", command[3:])
    data = LabelledFile(resolved.config.root, **resolved.arguments("dataset"))
    assert [field.name for field in data.fields] == ["user", "item", "code", "city", "age", "label"]


def test_what_is_set_is_not_guessed(file: Path) -> None:
    given: dict[str, Any] = {"sparse_columns": ["c*"], "user_column": "age"}
    description = describe_rows(file, given)
    assert [fault.lines for fault in description.files[0].faults] == [
        [(2, "the user is missing (column 'age'; 8 such rows); drop_missing=[age] leaves such rows out")]
    ]
    assert not description.is_usable
    assert describe_rows(file, {"sparse_columns": ["c*"]}).settings["sparse_columns"] == ["c*"]
    assert "gauc" not in describe_rows(file, {"user_column": "code", "dense_columns": ["age"]}).command


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("label,a,b", True),
        ("user,item,label", False),
        ("user,Click", True),
        ("user,item,rating", False),
        ("a,b", False),
    ],
)
def test_a_file_with_users_items_or_without_labels_is_one_of_interactions(
    tmp_path: Path, head: str, expected: bool
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(head + "\n" + ",".join("1" for _ in head.split(",")) + "\n", encoding="utf-8")
    assert is_labelled(path, {}) is expected


def test_columns_of_users_and_times_with_usual_names_are_no_features(tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    text = "".join(f"{n % 4},{n // 4 % 2},{1000 + n},{n}\n" for n in range(40))
    path.write_text("user_id,label,timestamp,price\n" + text, encoding="utf-8")
    description = describe_rows(path, {})
    assert description.is_usable
    keys = ("user_column", "time_column", "sparse_columns", "dense_columns")
    assert [description.settings[key] for key in keys] == ["user_id", "timestamp", [], ["price"]]
    roles = [each["role"] for each in description.statistics["labelled"]["columns"]]
    assert roles == ["user", "label", "time", "dense"]


def test_it_is_described_by_the_name_of_the_data_set_too(file: Path) -> None:
    settings = {"path": "log.txt", "label_column": "click", "sparse_columns": ["city"]}
    figures = describe_dataset("LabelledFile", str(file.parent), settings).statistics["labelled"]
    assert (figures["rows"], figures["sparse_fields"]) == (40, 1)


def test_the_criteo_sample_is_recognised(shared_data: Path) -> None:
    path = shared_data / "criteo-sample" / "criteo_sample.txt"
    assert is_labelled(path, {})
    settings = describe_rows(path, {}).settings
    assert settings["dense_columns"] == [f"I{n}" for n in range(1, 14)]
    assert settings["sparse_columns"] == [f"C{n}" for n in range(1, 27)]
