"""Users' own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.data.datasets import File
from recrun.errors import DataError

CSV = "user,item,rating,time\n" + "".join(
    f"u{u},{i},{(u + i) % 5 + 1},{10 * u + i}\n" for u in range(4) for i in range(10)
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_one_file_is_split_here(tmp_path: Path) -> None:
    write(tmp_path / "my" / "log.csv", CSV)
    data = File(tmp_path, path="my/log.csv", test_ratio=0.2)
    assert [len(data.interactions(part)) for part in ("train", "valid", "test")] == [28, 4, 8]
    assert data.user_ids.tolist() == ["u0", "u1", "u2", "u3"]
    assert [field.name for field in data.fields] == ["user", "item", "rating", "timestamp"]
    assert (
        File(tmp_path, path=str(tmp_path / "my" / "log.csv.gz"), test_ratio=0.2).hashes["split"] == data.hashes["split"]
    )


def test_three_files_are_the_three_parts(tmp_path: Path) -> None:
    for name, text in (
        ("a.csv", "user,item\n1,2\n1,3\n2,2\n"),
        ("b.csv", "user,item\n1,4\n"),
        ("c.tsv", "user\titem\n2\t4\n"),
    ):
        write(tmp_path / name, text)
    data = File(tmp_path, train_path="a.csv", valid_path="b.csv", test_path="c.tsv")
    assert [len(data.interactions(part)) for part in ("train", "valid", "test")] == [3, 1, 1]
    assert set(data.hashes) == {"a.csv", "b.csv", "c.tsv", "split"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "File needs either path, or train_path and test_path .* found neither"),
        ({"train_path": "a.csv"}, "found train_path=a.csv"),
        ({"path": "a.csv", "test_path": "b.csv"}, "found path=a.csv, test_path=b.csv"),
        ({"train_path": "a.csv", "test_path": "a.csv"}, "two parts cannot be one file"),
        ({"path": "a.txt"}, "the name of a.txt does not tell its format; set format to one of: csv, inter, lightgcn"),
        ({"path": "a.csv", "format": "cvs"}, "unknown format 'cvs'; did you mean 'csv'"),
        ({"train_path": "a.csv", "test_path": "b.csv", "split": "time"}, "split=time splits one file"),
        ({"train_path": "a.csv", "test_path": "b.csv", "test_ratio": 0.3}, "test_ratio 0.3 has no meaning here"),
        ({"path": "missing.csv"}, "File is not at root=.*\n.*\n.*missing.csv"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write(tmp_path / "a.csv", CSV)
    with pytest.raises(DataError, match=message):
        File(tmp_path, **options)


def test_a_fault_in_a_file_is_named_and_nothing_is_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path / "log.csv", CSV + "u1,2\n")
    with pytest.raises(DataError, match=rf"{path}:42: expected 4 columns, found 2"):
        File(tmp_path, path="log.csv")
    assert not (tmp_path / "cache").exists()
