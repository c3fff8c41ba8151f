"""Vectors of items from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.data.datasets import File, Synthetic
from recrun.data.item_vectors.match import digests, own_vectors, read_item_vectors
from recrun.errors import DataError
from recrun.files import sha256_file

ITEMS = np.array([3, 7, 12])
ROWS = {7: [0.5, -1.0], 99: [9.0, 9.0], 12: [2.0, 3.0], 3: [0.0, 0.25]}
EXPECTED = np.array([[0.0, 0.25], [0.5, -1.0], [2.0, 3.0]], dtype=np.float32)


def _write(folder: Path, name: str, frame: dict[str, Any]) -> str:
    pl.DataFrame(frame).write_parquet(folder / name)
    return name


def _numpy(folder: Path, array: np.ndarray, ids: str, name: str = "text") -> str:
    np.save(folder / f"{name}.npy", array)
    (folder / f"{name}.ids").write_text(ids, encoding="utf-8")
    return f"{name}.npy"


def _lists(kind: Any = None) -> pl.Series:
    return pl.Series("vector", list(ROWS.values()), dtype=kind)


def _column(place: int) -> list[float]:
    return [row[place] for row in ROWS.values()]


LAYOUTS = {
    "lists": lambda: {"item_id": list(ROWS), "vector": _lists()},
    "lists of 32 bits": lambda: {"item_id": list(ROWS), "vector": _lists(pl.List(pl.Float32))},
    "fixed lists": lambda: {"item_id": list(ROWS), "vector": _lists(pl.Array(pl.Float64, 2))},
    "fixed lists of 32 bits": lambda: {"item_id": list(ROWS), "vector": _lists(pl.Array(pl.Float32, 2))},
    "columns": lambda: {"a": _column(0), "asin": list(ROWS), "b": _column(1)},
    "the first column": lambda: {"key": list(ROWS), "a": _column(0), "b": _column(1)},
    "ids as text": lambda: {"item": list(map(str, ROWS)), "vector": _lists()},
    "ids of few bits": lambda: {"item": pl.Series(list(ROWS), dtype=pl.UInt8), "vector": _lists()},
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_each_item_gets_the_row_of_its_id(tmp_path: Path, layout: Any) -> None:
    found = read_item_vectors([_write(tmp_path, "text.parquet", layout())], tmp_path, ITEMS)
    assert found.arrays["text"].dtype == np.float32
    assert np.array_equal(found.arrays["text"], EXPECTED)
    assert found.hashes == {"text.parquet": sha256_file(tmp_path / "text.parquet")}
    assert found.notes == ["text.parquet: 1 of its 4 rows are of items that the data has not"]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_rows_of_an_array_are_those_of_the_ids_beside_it(tmp_path: Path, dtype: Any, order: Any, end: str) -> None:
    (tmp_path / "deep").mkdir()
    array = np.array(list(ROWS.values()), dtype=dtype, order=order)
    _numpy(tmp_path / "deep", array, (end or "\n").join(map(str, ROWS)) + end)
    found = read_item_vectors(["deep/text.npy"], tmp_path, ITEMS)
    assert np.array_equal(found.arrays["text"], EXPECTED)
    assert found.hashes == {f"deep/text.{end}": sha256_file(tmp_path / f"deep/text.{end}") for end in ("npy", "ids")}
    assert digests(["deep/text.npy"], tmp_path) == found.hashes


def test_vectors_read_in_blocks_are_those_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    array = rng.standard_normal((50, 3))
    ids = rng.permutation(50)
    path = _numpy(tmp_path, array, "\n".join(map(str, ids)))
    lists = _write(tmp_path, "lists.parquet", {"item": ids, "vector": pl.Series(array.tolist())})
    monkeypatch.setattr("recrun.data.item_vectors.files._BLOCK", 21)
    wanted = np.empty_like(array, dtype=np.float32)
    wanted[ids] = array
    for name in (path, lists):
        found = read_item_vectors([name], tmp_path, np.arange(50)).arrays
        assert np.array_equal(next(iter(found.values())), wanted)


def test_ids_of_text_are_compared_as_they_are_written(tmp_path: Path) -> None:
    items = np.array(["B01", "b01", "é"])
    path = _write(tmp_path, "text.parquet", {"item": ["é", "B01", "b01"], "a": [1, 2, 3]})
    assert read_item_vectors([path], tmp_path, items).arrays["text"].tolist() == [[2], [3], [1]]


def test_several_files_are_called_as_they_are(tmp_path: Path) -> None:
    first = _write(tmp_path, "text.v2.parquet", {"item": list(ROWS), "vector": _lists()})
    second = _numpy(tmp_path, np.ones((3, 5), dtype=np.uint8), "3\n12\n7\n", "image")
    found = read_item_vectors([first, second], tmp_path, ITEMS)
    assert {name: array.shape for name, array in found.arrays.items()} == {"text.v2": (3, 2), "image": (3, 5)}
    assert list(found.hashes) == ["text.v2.parquet", "image.npy", "image.ids"]


def test_items_without_a_row_are_counted_and_named(tmp_path: Path) -> None:
    path = _write(tmp_path, "text.parquet", {"item": [3, 5], "a": [0.5, 1]})
    message = (
        r"text\.parquet: 6 of the 7 items of the data have no row: 10, 11, 12, 13, 14, \.\.\.; give each one a row"
    )
    with pytest.raises(DataError, match=message):
        read_item_vectors([path], tmp_path, np.array([3, 10, 11, 12, 13, 14, 15]))
    with pytest.raises(DataError, match="1 of the 2 items of the data have no row: 4; give"):
        read_item_vectors([path], tmp_path, np.array([3, 4]))


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"item": [3, 7, 12], "a": [0.0, float("nan"), 1]}, r":2: the vector of the item '7' is not finite"),
    "infinite": ({"item": [3, 7, 12], "a": [0.0, 1, float("inf")]}, r":3: the vector of the item '12' is not finite"),
    "too large": ({"item": [3, 7, 12], "a": [1e39, 1, 1e39]}, r":1: .*'3' is not finite in 32 bits \(2 such items\)"),
    "null": ({"item": [3, 7, 12], "a": [0, None, 1]}, r":2: the vector of the item '7'"),
    "null in a list": ({"item": [3, 7, 12], "a": [[0.0], [None], [1.0]]}, r":2: the vector of the item '7'"),
    "no list": ({"item": [3, 7, 12], "a": [[0.0], None, [1.0]]}, ":2: expected 1 numbers in 'a', as in row 1, found 0"),
    "unlike lists": (
        {"item": [3, 7, 12], "a": [[0.0], [1.0, 2.0], [1.0]]},
        ":2: expected 1 numbers in 'a', .* found 2",
    ),
    "empty lists": ({"item": [3, 7, 12], "a": pl.Series([[], [], []], dtype=pl.List(pl.Float32))}, "no numbers in 'a'"),
    "an id twice": ({"item": [3, 7, 3, 12], "a": [1.0, 2, 3, 4]}, ":3: the item '3' has a row already"),
    "no id": ({"item": [3, None, 12], "a": [1.0, 2, 3]}, ":2: the id is missing"),
    "ids of numbers": ({"item": [3.0, 7.0], "a": [1.0, 2]}, "expected integers or text as ids in the column 'item'"),
    "two ids": ({"movie_id": [3], "asin": [3], "a": [1.0]}, "'movie_id' and 'asin' may both be the ids of the items"),
    "text": ({"item": [3], "title": ["x"]}, "the ids are in 'item', so 'title' must hold numbers, or lists of them"),
    "lists of text": ({"item": [3], "words": [["x"]]}, "'words' must hold numbers, or lists of them; found List"),
    "lists and more": ({"item": [3], "a": [[1.0]], "b": [2.0]}, "beside the lists of 'a' there is 'b'; leave one"),
    "no vectors": ({"item": [3]}, "expected a column of item ids and at least one of numbers"),
}


@pytest.mark.parametrize(("frame", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_table_is_refused(tmp_path: Path, frame: dict[str, Any], message: str) -> None:
    path = _write(tmp_path, "text.parquet", frame)
    with pytest.raises(DataError, match=message):
        read_item_vectors([path], tmp_path, ITEMS[: len(frame["item"])] if "item" in frame else ITEMS[:1])


def test_a_faulty_array_is_refused(tmp_path: Path) -> None:
    for array, ids, message in (
        (np.ones(3), "3\n7\n12", r"expected an array of numbers, a row for each item; found shape \(3,\)"),
        (np.ones((3, 0)), "3\n7\n12", r"found shape \(3, 0\)"),
        (np.array([["a"], ["b"], ["c"]]), "3\n7\n12", "expected an array of numbers"),
        (np.ones((3, 2)), "3\n7", r"text\.ids: expected an id for each of the 3 rows of text\.npy, found 2"),
        (np.ones((3, 2)), "3\n7\n7", ":3: the item '7' has a row already"),
        (np.array([[1.0], [np.nan], [1.0]]), "3\n7\n12", ":2: the vector of the item '7' is not finite"),
    ):
        with pytest.raises(DataError, match=message):
            read_item_vectors([_numpy(tmp_path, array, ids)], tmp_path, ITEMS)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    array = np.empty((3, 1), dtype=object)
    array[:] = 1.0
    with pytest.raises(DataError, match="is no array that can be read"):
        read_item_vectors([_numpy(tmp_path, array, "3\n7\n12")], tmp_path, ITEMS)
    np.savez(tmp_path / "z.npz", a=np.ones(3))
    (tmp_path / "z.npz").rename(tmp_path / "text.npy")
    with pytest.raises(DataError, match="found several arrays"):
        read_item_vectors(["text.npy"], tmp_path, ITEMS)
    (tmp_path / "text.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="is no array that can be read"):
        read_item_vectors(["text.npy"], tmp_path, ITEMS)


def test_what_is_not_there_or_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot read .*none\.parquet, vectors of items \(item_vectors\): No such file"
    ):
        read_item_vectors(["none.parquet"], tmp_path, ITEMS)
    np.save(tmp_path / "text.npy", np.ones((3, 2)))
    with pytest.raises(
        DataError, match=r"cannot read .*text\.ids, the ids of the rows of a \.npy file, a line for each"
    ):
        read_item_vectors(["text.npy"], tmp_path, ITEMS)
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(DataError, match="is not a regular file"):
        read_item_vectors(["pipe.npy"], tmp_path, ITEMS)
    (tmp_path / "text.parquet").write_text("item,a\n3,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="is not a parquet file that can be read"):
        read_item_vectors(["text.parquet"], tmp_path, ITEMS)


@pytest.mark.parametrize(
    ("paths", "message"),
    [(["a.csv"], r"expected files that end in \.parquet, \.pq, \.npy, found 'a\.csv'"),
     (["x/text.pq", "y/text.npy"], "'x/text.pq' and 'y/text.npy' would both be called 'text'; rename one")],
)  # fmt: skip
def test_names_that_tell_no_vectors_are_refused(tmp_path: Path, paths: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_item_vectors(paths, tmp_path, ITEMS)


def test_vectors_of_a_data_set_are_those_of_its_items_after_filtering(tmp_path: Path) -> None:
    rows = [f"{user},{item}" for user in range(8) for item in ("x", "b", "k")] + ["0,rare"]
    (tmp_path / "rows.csv").write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    _write(tmp_path, "text.parquet", {"item": ["k", "b", "x"], "a": [1, 2, 3]})
    data = File(tmp_path, path="rows.csv", min_item_interactions=2)
    split = dict(data.hashes)
    data.use_item_vectors(["text.parquet"])
    assert data.item_ids.tolist() == ["b", "k", "x"]
    assert data.training_data().item_vectors["text"].tolist() == [[2], [1], [3]]
    assert data.hashes == split | {"text.parquet": sha256_file(tmp_path / "text.parquet")}
    with pytest.raises(DataError, match="1 of the 4 items of the data have no row: rare"):
        File(tmp_path, path="rows.csv").use_item_vectors(["text.parquet"])


def test_synthetic_vectors_tell_the_clusters_and_change_nothing_else() -> None:
    sizes: dict[str, Any] = {"n_users": 300, "n_items": 200, "n_interactions": 6000, "n_clusters": 5}
    plain, data = Synthetic(**sizes), Synthetic(**sizes)
    data.use_item_vectors()
    assert plain.training_data().item_vectors == {}
    assert plain.hashes == data.hashes
    vectors = data.training_data().item_vectors["synthetic"]
    assert (vectors.shape, vectors.dtype) == ((200, 32), np.float32)
    clusters = data._world()[1].clusters_I
    means = np.array([vectors[clusters == each].mean(0) for each in range(5)])
    nearest = ((vectors[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == clusters).mean() > 0.95
    cored = Synthetic(**sizes, split="cold_items")
    cored.use_item_vectors()
    assert np.array_equal(cored.training_data().item_vectors["synthetic"], vectors[cored.item_ids])


@pytest.mark.parametrize(
    ("array", "message"),
    [(np.ones((3, 0)), r"Own: text: expected numbers of shape \(4, D\), found float64 of shape \(3, 0\)"),
     (np.ones((5, 2)), r"found float64 of shape \(5, 2\)"),
     (np.full((4, 2), "x"), "expected numbers"),
     (np.full((4, 2), np.inf), "not finite in 32 bits")],
)  # fmt: skip
def test_vectors_that_a_data_set_brings_are_checked(array: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        own_vectors("Own", {"text": array}, 4)
    assert own_vectors("Own", {"text": np.ones((4, 2), dtype=int)}, 4).arrays["text"].dtype == np.float32
