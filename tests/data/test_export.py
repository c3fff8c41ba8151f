"""Data written to files is the data that is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recrun.data.datasets import File, Synthetic
from recrun.data.datasets.base import RecDataSet
from recrun.data.export import ENDINGS, write_parts, write_whole
from recrun.errors import DataError

ENDS = {part: f"{part}_path" for part in ("train", "valid", "test")}


def _rows(dataset: RecDataSet, part: str) -> list[tuple[object, ...]]:
    rows = dataset.interactions(part)  # type: ignore[arg-type]
    columns = [rows.columns[name].tolist() for name in sorted(rows.columns)]
    ids = dataset.user_ids[rows.users].tolist(), dataset.item_ids[rows.items].tolist()
    return sorted(zip(*ids, *columns, strict=True))


@pytest.fixture(scope="module")
def numbers() -> RecDataSet:
    """Integer ids, with ratings and times."""
    return Synthetic(n_users=30, n_items=20, n_interactions=300, with_ratings=True)


@pytest.fixture
def texts(tmp_path: Path) -> RecDataSet:
    """Text ids, of which some hold commas, quotes and leading zeros."""
    users = ['a,b"c', "007", "ü x", "d"]
    lines = [f'"{user.replace(chr(34), chr(34) * 2)}",i{item},{item % 5}' for user in users for item in range(12)]
    (tmp_path / "texts.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return File(tmp_path, path="texts.csv")


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
@pytest.mark.parametrize("name", ["numbers", "texts"])
def test_parts_come_back_with_ids_and_columns(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, format: str
) -> None:
    dataset: RecDataSet = request.getfixturevalue(name)
    document = write_parts(dataset, tmp_path / "out", format)
    names = {ENDS[part]: Path(file).name for part, file in document["files"].items()}
    again = File(tmp_path / "out", **names)  # type: ignore[arg-type]
    assert document["left_out"] == []
    for part in ("train", "valid", "test"):
        assert _rows(again, part) == _rows(dataset, part)
        assert document["rows"][part] == len(dataset.interactions(part))  # type: ignore[arg-type]


def test_lightgcn_files_hold_the_pairs_and_say_what_they_lack(numbers: RecDataSet, tmp_path: Path) -> None:
    document = write_parts(numbers, tmp_path / "out", "lightgcn")
    assert document["left_out"] == ["rating", "timestamp"]
    names = {ENDS[part]: f"{part}.txt" for part in document["files"]}
    again = File(tmp_path / "out", format="lightgcn", **names)  # type: ignore[arg-type]
    for part in ("train", "valid", "test"):
        assert [row[:2] for row in _rows(again, part)] == [row[:2] for row in _rows(numbers, part)]


def test_lightgcn_refuses_ids_that_are_text(texts: RecDataSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lightgcn needs integer ids, and user ids are text"):
        write_parts(texts, tmp_path / "out", "lightgcn")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
def test_all_of_it_comes_back_from_one_file_in_the_order_of_time(
    numbers: RecDataSet, tmp_path: Path, format: str
) -> None:
    name = f"all.{ENDINGS[format]}"
    document = write_whole(numbers, tmp_path / name, format)
    again = File(tmp_path, path=name, test_ratio=0, valid_ratio=0)
    assert _rows(again, "train") == sorted(row for part in ENDS for row in _rows(numbers, part))
    assert document["rows"] == {"all": 300}
    rows = again.interactions("train")
    assert (np.diff(rows.columns["timestamp"])[np.diff(rows.users) == 0] >= 0).all()


def test_nothing_is_overwritten(numbers: RecDataSet, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine", encoding="utf-8")
    for write in (write_parts, write_whole):
        with pytest.raises(DataError, match=r"already exists; choose a new (folder|file)"):
            write(numbers, tmp_path / "there", "csv")
        with pytest.raises(DataError, match=r"cannot be written: (Not a directory|File exists)"):
            write(numbers, tmp_path / "there" / "deep", "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text(encoding="utf-8") == "mine"


def test_folders_above_are_made(numbers: RecDataSet, tmp_path: Path) -> None:
    write_parts(numbers, tmp_path / "a" / "parts", "csv")
    write_whole(numbers, tmp_path / "b" / "whole.csv", "csv")
    assert (tmp_path / "a" / "parts" / "train.csv").is_file()
    assert (tmp_path / "b" / "whole.csv").is_file()


def test_a_failure_half_way_leaves_no_folder(
    numbers: RecDataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recrun.data.export.atomic_write", full)
    with pytest.raises(DataError, match="No space left on device"):
        write_parts(numbers, tmp_path / "out", "csv")
    assert list(tmp_path.iterdir()) == []


def test_ids_that_would_break_a_line_of_an_inter_file_are_refused(numbers: RecDataSet, tmp_path: Path) -> None:
    dataset = Synthetic(n_users=5, n_items=6, n_interactions=12)
    dataset.user_ids = np.array(["a\tb", "c", "d", "e", "f"])
    with pytest.raises(DataError, match="inter files have no quotes, and user ids contain tabs"):
        write_parts(dataset, tmp_path / "out", "inter")


def test_an_unknown_format_is_named(numbers: RecDataSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown format 'cvs'; did you mean 'csv'"):
        write_whole(numbers, tmp_path / "out", "cvs")
