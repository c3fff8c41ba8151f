"""Users' own files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from recrun.data.datasets import File, LabelledFile
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
    assert File(tmp_path, path=str(tmp_path / "my" / "log.csv"), test_ratio=0.2).hashes == {
        str(tmp_path / "my" / "log.csv"): data.hashes["my/log.csv"],
        "split": data.hashes["split"],
    }


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
        (
            {"path": "a.txt"},
            "the name of a.txt does not tell its format; set format to one of: csv, inter, jsonl, light",
        ),
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


OTHER = CSV.replace("u0", "v0")


@pytest.mark.parametrize(
    ("there", "named", "first_user"),
    [
        ({"a.csv": CSV, "a.csv.gz": OTHER}, "a.csv.gz", "u1"),
        ({"a.csv": CSV, "a.csv.gz": OTHER}, "a.csv", "u0"),
        ({"a.csv": CSV}, "a.csv", "u0"),
        ({"a.csv.gz": CSV}, "a.csv", "u0"),
        ({"a.csv.gz": CSV}, "a.csv.gz", "u0"),
        ({"a.csv": CSV, "b/a.csv": OTHER}, "b/../a.csv", "u0"),
    ],
)
def test_the_file_that_is_named_is_the_file_that_is_read(
    tmp_path: Path, there: dict[str, str], named: str, first_user: str
) -> None:
    for name, text in there.items():
        write(tmp_path / name, text)
        if name.endswith(".gz"):
            (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    data = File(tmp_path, path=named)
    assert data.user_ids[0] == first_user
    differs = "a.csv is read; a.csv.gz beside it holds something else"
    assert [note for note in data.notes if note.endswith(differs)] == data.notes
    assert len(data.notes) == (named == "a.csv" and len(there) == 2)


def test_two_compressed_files_of_one_name_are_refused_and_so_is_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "a.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(DataError, match=r"a\.csv is not there, but a\.csv\.gz and a\.csv\.zst are; name the one"):
        File(tmp_path, path="a.csv")
    write(tmp_path / "b.csv", CSV)
    with pytest.raises(DataError, match=r"b\.csv\.gz \(b\.csv is there; name that one\)"):
        File(tmp_path, path="b.csv.gz")
    (tmp_path / "c.csv").symlink_to(".git/annex/objects/x/c.csv")
    with pytest.raises(
        DataError, match=r"c\.csv \(a link to \.git/annex/.* not there; get the file: git annex get c\.csv"
    ):
        File(tmp_path, path="c.csv")


@pytest.mark.parametrize("other", ["./a.csv", "b.csv", "a.csv.gz", "link.csv", "sub/../a.csv"])
def test_one_file_under_two_names_is_not_two_parts(tmp_path: Path, other: str) -> None:
    write(tmp_path / "a.csv", CSV)
    write(tmp_path / "b.csv", CSV)
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (tmp_path / "link.csv").symlink_to("a.csv")
    labelled = {"label_column": "user", "sparse_columns": ["item"]}
    for dataset, settings in ((File, {}), (LabelledFile, labelled)):
        with pytest.raises(DataError) as caught:
            dataset(tmp_path, train_path="a.csv", test_path=other, **settings)
        assert str(caught.value) == f"two parts hold the same: train (a.csv) and test ({other}); name another file"


@pytest.mark.parametrize("ending", ["bz2", "xz", "zip", "tar", "7z"])
def test_a_compression_that_is_not_read_is_refused_by_its_ending(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match=f"a.csv.{ending} is compressed or an archive, and recrun reads .gz and .zst"):
        File(tmp_path, path=f"a.csv.{ending}")
