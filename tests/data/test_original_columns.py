"""Written files hold all columns and the original values, and are read as the parts that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.data.datasets import File, MovieLens100K
from recrun.data.datasets.base import RecDataSet
from recrun.data.export import ENDINGS, write_parts, write_whole
from recrun.data.formats.opening import read_binary
from recrun.errors import DataError

PARTS = ("train", "valid", "test")
USERS = [f"u{n % 6}" for n in range(72)]
ITEMS = [f"i{n // 6}" for n in range(72)]


def _csv(columns: dict[str, list[str]], *, header: bool = True, separator: str = ",", quoted: bool = True) -> str:
    def field(value: str) -> str:
        needs = quoted and any(mark in value for mark in (separator, '"', "\n", "\r"))
        return '"' + value.replace('"', '""') + '"' if needs else value

    lines = [separator.join(map(field, row)) for row in zip(*columns.values(), strict=True)]
    return "\n".join([*([separator.join(map(field, columns))] if header else []), *lines]) + "\n"


def _times(n: int) -> list[str]:
    return [str(1_600_000_000 + 977 * k) for k in range(n)]


BASE = {"user_id": USERS, "item_id": ITEMS, "rating": ["4.1", "1e3", "5", "3.50"] * 18, "timestamp": _times(72)}
DATES = [f"2020-03-{1 + n % 28:02d}T{n % 24:02d}:15:00+0{n % 3}:00" for n in range(72)]
EUROPEAN = [f"{1 + n % 28:02d}/{1 + n // 28:02d}/2021" for n in range(72)]
ODD: dict[str, tuple[dict[str, list[str]], dict[str, Any]]] = {
    "plain": (BASE, {}),
    "a tag beside": (BASE | {"tag": ["", "a", " b ", "naïve 你好"] * 18}, {}),
    "quotes and line ends": (BASE | {"note": ['say "hi"', "two\nlines", "a,b", "x"] * 18}, {}),
    "user beside user_id": (
        {"user": ["Ann", "Bob"] * 36, **BASE},
        {"user_column": "user_id", "item_column": "item_id"},
    ),
    "an unused time": (BASE, {"time_column": ""}),
    "an unused rating": (BASE, {"rating_column": ""}),
    "other names": (
        {"who": USERS, "what": ITEMS, "how much": BASE["rating"], "when;then": BASE["timestamp"], "rating": ["9"] * 72},
        {"user_column": "who", "item_column": "what", "rating_column": "how much", "time_column": "when;then"},
    ),
    "dates with a zone": (BASE | {"timestamp": DATES}, {}),
    "days before months": (BASE | {"timestamp": EUROPEAN}, {}),
    "days before months, told apart by a row left out": (
        BASE | {"timestamp": [f"{1 + n % 9:02d}/04/2021" if n else "13/04/2021" for n in range(72)]},
        {"rating_threshold": 4.5},
    ),
    "a time_format": (
        BASE | {"timestamp": [f"{1 + n % 9:02d}.{1 + n % 12:02d}.21 10:00" for n in range(72)]},
        {"time_format": "%d.%m.%y %H:%M"},
    ),
    "times with fractions": (BASE | {"timestamp": [f"{value}.25" for value in _times(72)]}, {}),
    "ids of 64 bits": (BASE | {"user_id": [str(2**62 + n % 6) for n in range(72)]}, {}),
    "ids with leading zeros": (BASE | {"item_id": [f"{n // 6:04d}" for n in range(72)]}, {}),
    "a column without a name": ({"": [str(n) for n in range(72)], **BASE}, {}),
    "a column of numbers like ids": (BASE | {"zip": [f"0{n % 7}123" for n in range(72)]}, {}),
    "a filter": (BASE | {"event": ["buy", "buy", "buy", "view"] * 18}, {"filter": "event == 'buy'"}),
    "missing ratings": (BASE | {"rating": ["4.1", "", "5", "3"] * 18}, {"drop_missing": ["rating"]}),
    "a k-core": (BASE | {"item_id": [*ITEMS[:-1], "rare"], "n": _times(72)}, {"min_item_interactions": 2}),
    "ids that are numbers once a row is left out": (
        BASE | {"user_id": ["anon", *(str(n % 6) for n in range(1, 72))], "rating": ["1", *["5"] * 71]},
        {"rating_threshold": 2},
    ),
}
SPLITS: list[dict[str, Any]] = [
    {},
    {"split": "leave_one_out"},
    {"split": "leave_k", "n_held_out": 2},
    {"split": "k_fold", "test_fold": 2},
    {"split": "time", "valid_ratio": 0.0},
    {"split": "user_time"},
    {"split": "cold_users", "test_ratio": 0.2, "valid_ratio": 0.2},
    {"split": "cold_items", "test_ratio": 0.2, "valid_ratio": 0.2},
]


def _rows(dataset: RecDataSet, part: str) -> list[tuple[object, ...]]:
    rows = dataset.interactions(part)  # type: ignore[arg-type]
    ids = map(str, dataset.user_ids[rows.users].tolist()), map(str, dataset.item_ids[rows.items].tolist())
    return list(zip(*ids, *(rows.columns[name].tolist() for name in sorted(rows.columns)), strict=True))


def _again(document: dict[str, Any], folder: Path) -> File:
    settings = dict(document["settings"])
    settings |= {f"{part}_path": Path(file).name for part, file in document["files"].items()}
    return File(folder, **settings)


def _assert_round_trip(dataset: RecDataSet, folder: Path, format: str) -> dict[str, pl.DataFrame]:
    document = write_parts(dataset, folder, format)
    again = _again(document, folder)
    for part in PARTS:
        assert sorted(_rows(again, part)) == sorted(_rows(dataset, part))
        if np.array_equal(again.user_ids, dataset.user_ids):
            assert _rows(again, part) == _rows(dataset, part)
    frames = {}
    for part, file in document["files"].items():
        if format == "parquet":
            frames[part] = pl.read_parquet(file)
        else:
            frames[part] = pl.read_csv(
                file,
                infer_schema=False,
                separator="," if format == "csv" else "\t",
                quote_char='"' if format == "csv" else None,
            )
    return frames


def _assert_same_values(frames: dict[str, pl.DataFrame], source: dict[str, list[str]], *, n_rows: int) -> None:
    """Check that every written row is one of the source, to the letter."""
    written = [row for frame in frames.values() for row in frame.rows()]
    known = {tuple(value or None for value in row) for row in zip(*source.values(), strict=True)}
    assert {tuple(value or None for value in row) for row in written} <= known
    assert len(written) == n_rows


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
@pytest.mark.parametrize("case", ODD)
def test_odd_columns_come_back_from_every_format(tmp_path: Path, case: str, format: str) -> None:
    columns, settings = ODD[case]
    (tmp_path / "source.csv").write_text(_csv(columns), encoding="utf-8")
    if case in ("quotes and line ends",) and format == "inter":
        with pytest.raises(
            DataError, match="inter files have no quotes, and column 'note' contains tabs or line breaks"
        ):
            write_parts(File(tmp_path, path="source.csv", **settings), tmp_path / "out", format)
        return
    dataset = File(tmp_path, path="source.csv", **settings)
    frames = _assert_round_trip(dataset, tmp_path / "out", format)
    n_rows = sum(len(dataset.interactions(part)) for part in PARTS)  # type: ignore[arg-type]
    assert all(frame.width == len(columns) for frame in frames.values())
    if format == "csv":
        assert frames["train"].columns == list(columns)
    if format != "parquet":
        _assert_same_values(frames, columns, n_rows=n_rows)


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.get("split", "ratio"))
def test_every_split_comes_back(tmp_path: Path, split: dict[str, Any], format: str) -> None:
    columns = BASE | {"tag": [f"t{n}" for n in range(72)]}
    (tmp_path / "source.csv").write_text(_csv(columns))
    frames = _assert_round_trip(File(tmp_path, path="source.csv", **split), tmp_path / "out", format)
    tags = [tag for frame in frames.values() for tag in frame[frame.columns[-1]]]
    assert sorted(tags) == sorted(columns["tag"])


def _sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Write the same rows in every format that has columns; return what reads each."""
    tags = [f"t {n}" for n in range(72)]
    columns = BASE | {"tag": tags}
    numbers = {name: columns[name] for name in ("user_id", "item_id", "rating", "timestamp")}
    (folder / "a.tsv").write_text(_csv(columns, separator="\t", quoted=False))
    (folder / "a.txt").write_text(_csv(columns, separator="::", quoted=False))
    (folder / "b.csv").write_text(_csv(columns, header=False))
    (folder / "blank.csv").write_text(_csv(columns).replace("\n", "\n\n"))
    (folder / "latin.csv").write_bytes(_csv(columns | {"tag": ["é;ü"] * 72}).encode("latin-1"))
    typed = dict(
        zip(columns, ("user_id:token", "item_id:token", "rating:float", "timestamp:float", "tag:token"), strict=True)
    )
    (folder / "a.inter").write_text(_csv({typed[k]: v for k, v in columns.items()}, separator="\t", quoted=False))
    (folder / "a.data").write_text(_csv(numbers, separator="\t", quoted=False, header=False))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in rows:
        row |= {"rating": float(row["rating"]), "timestamp": int(row["timestamp"]), "more": {"a": [1, "x"], "b": None}}
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "a.pylines").write_text("".join(f"{row!r}\n" for row in rows))
    frame = pl.DataFrame([{key: row[key] for key in columns} for row in rows]).with_columns(
        pl.col("user_id").cast(pl.Categorical)
    )
    frame = frame.with_columns(when=pl.from_epoch("timestamp").dt.replace_time_zone("Europe/Berlin"))
    frame.write_parquet(folder / "a.parquet")
    for name, start, end in (("1", 0, 30), ("2", 30, 72)):
        for kind in ("pieces", "parquets"):
            (folder / kind).mkdir(exist_ok=True)
        (folder / f"pieces/{name}.csv").write_text(_csv({key: values[start:end] for key, values in columns.items()}))
        frame[start:end].write_parquet(folder / f"parquets/{name}.parquet")
    last = _csv({key: values[60:] for key, values in columns.items()})
    (folder / "first.csv").write_text(_csv({key: values[:60] for key, values in columns.items()}))
    (folder / "last.csv").write_text(last)
    return {
        "tsv": {"path": "a.tsv"},
        "::": {"path": "a.txt", "format": "csv"},
        "headerless csv": {"path": "b.csv"},
        "blank lines": {"path": "blank.csv"},
        "latin-1": {"path": "latin.csv", "encoding": "latin-1"},
        "inter": {"path": "a.inter"},
        "udata": {"path": "a.data"},
        "jsonl": {"path": "a.jsonl"},
        "pylines": {"path": "a.pylines", "format": "pylines"},
        "parquet": {"path": "a.parquet", "time_column": "timestamp"},
        "parquet with dates": {"path": "a.parquet", "time_column": "when"},
        "folder": {"path": "pieces"},
        "glob": {"path": "pieces/*.csv", "filter": "tag != 't 7'"},
        "folder of parquet": {"path": "parquets", "time_column": "when"},
        "given parts": {"train_path": "first.csv", "test_path": "last.csv"},
    }


NAMES = (
    *("tsv", "::", "headerless csv", "blank lines", "latin-1", "inter", "udata", "jsonl", "pylines", "parquet"),
    *("parquet with dates", "folder", "glob", "folder of parquet", "given parts"),
)


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
@pytest.mark.parametrize("name", NAMES)
def test_all_columns_of_every_format_come_back(tmp_path: Path, name: str, format: str) -> None:
    settings = _sources(tmp_path)[name]
    dataset = File(tmp_path, **settings)
    frames = _assert_round_trip(dataset, tmp_path / "out", format)
    rows = {part: _rows(dataset, part) for part in PARTS}
    if name != "udata":
        tag = next(column for column in frames["train"].columns if column.startswith(("tag", "column_5")))
        for part, frame in frames.items():
            user = next(column for column in frame.columns if column.startswith("user"))
            assert frame[user].to_list() == [row[0] for row in rows[part]]
            expected = {"t " + str(6 * int(str(row[1])[1:]) + int(str(row[0])[1:])) for row in rows[part]}
            assert set(frame[tag]) == (expected if name != "latin-1" else {"é;ü"})
    document = write_whole(dataset, tmp_path / f"all.{ENDINGS[format]}", format)
    whole = File(tmp_path, path=f"all.{ENDINGS[format]}", test_ratio=0, valid_ratio=0, **document["settings"])
    assert sorted(_rows(whole, "train")) == sorted(row for part in PARTS for row in rows[part])


def _parquet(folder: Path, **columns: Any) -> File:
    frame = pl.DataFrame({"user": USERS, "item": ITEMS}).with_columns(**columns)
    frame.write_parquet(folder / "source.parquet")
    return File(folder, path="source.parquet")


NESTED: dict[str, tuple[pl.Series, str]] = {
    "lists": (pl.Series([[1, 2]] * 72), "List"),
    "arrays": (pl.Series([[1, 2]] * 72, dtype=pl.Array(pl.Int64, 2)), "Array"),
    "structures": (pl.Series([{"a": 1}] * 72), "Struct"),
    "bytes": (pl.Series([b"x\xff"] * 72), "Binary"),
}


@pytest.mark.parametrize("format", ["csv", "inter"])
@pytest.mark.parametrize("kind", NESTED)
def test_columns_that_text_cannot_hold_are_refused_by_name(tmp_path: Path, kind: str, format: str) -> None:
    values, type_name = NESTED[kind]
    dataset = _parquet(tmp_path, genres=values)
    for write, name in ((write_parts, "out"), (write_whole, f"out.{format}")):
        with pytest.raises(DataError, match=rf"column 'genres' holds {type_name}.*, which {format} cannot hold"):
            write(dataset, tmp_path / name, format)
    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]


@pytest.mark.parametrize("kind", NESTED)
def test_parquet_keeps_the_types_of_parquet(tmp_path: Path, kind: str) -> None:
    values, _ = NESTED[kind]
    dataset = _parquet(
        tmp_path, genres=values, shop=pl.col("user").cast(pl.Categorical), price=pl.lit(4.1, dtype=pl.Float32)
    )
    frames = _assert_round_trip(dataset, tmp_path / "out", "parquet")
    assert frames["train"].schema == pl.read_parquet_schema(tmp_path / "source.parquet")


@pytest.mark.parametrize("format", ["csv", "parquet", "inter"])
@pytest.mark.parametrize(
    "columns",
    [
        {"user": pl.Series([float(n % 6) for n in range(72)]), "rating": pl.Series([n % 2 == 0 for n in range(72)])},
        {
            "user": pl.Series([n % 6 for n in range(72)], dtype=pl.UInt64),
            "rating": pl.Series([4.1] * 72, dtype=pl.Float32),
        },
        {"timestamp": pl.from_epoch(pl.Series(range(72)) * 86_400 * 29 + 1_300_000_000).cast(pl.Date)},
        {"timestamp": pl.from_epoch(pl.Series(range(72)) * 977 * 10**9 + 1_300_000_000_123_000_000, "ns")},
        {"item": pl.Series(ITEMS, dtype=pl.Enum(sorted(set(ITEMS)))), "empty": pl.Series([None] * 72)},
        {"rating": pl.Series([f"{n % 5}.10" for n in range(72)]).cast(pl.Decimal(10, 2))},
        {"who: me": pl.Series([True, None] * 36), "a;b\tc": pl.Series([None, "x"] * 36)},
    ],
    ids=["float ids", "unsigned ids", "days", "nanoseconds", "enum", "decimal", "names with marks"],
)
def test_types_of_parquet_come_back_from_every_format(
    tmp_path: Path, columns: dict[str, pl.Series], format: str
) -> None:
    dataset = _parquet(tmp_path, **columns)
    if format == "inter" and "a;b\tc" in columns:
        with pytest.raises(DataError, match=r"inter files have no quotes, and the name of column .* contains tabs"):
            write_parts(dataset, tmp_path / "out", format)
        return
    _assert_round_trip(dataset, tmp_path / "out", format)


@pytest.mark.parametrize(
    "names",
    [
        ["user", "item", "a\nb"],
        ["user", "item", 'a"b'],
        ["user", "item", "1"],
        ["user", "item", "2020-01-01"],
        ["user", "item", "user_name"],
        ["user", "item", "a, b; c | d"],
        ["user", "item", " blanks "],
        ["user", "item", "rating:token"],
    ],
)
def test_odd_names_of_columns_are_read_again_or_refused(tmp_path: Path, names: list[str]) -> None:
    frame = pl.DataFrame([USERS, ITEMS, ["3", "4"] * 36], schema=names)
    frame.write_parquet(tmp_path / "source.parquet")
    dataset = File(tmp_path, path="source.parquet")
    for format in ("csv", "inter", "parquet"):
        if "\n" in names[2] and format != "parquet":
            with pytest.raises(DataError, match=r"choose (csv or )?parquet"):
                write_parts(dataset, tmp_path / format, format)
            assert not (tmp_path / format).exists()
        else:
            _assert_round_trip(dataset, tmp_path / format, format)


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("ending", ["\t", "\n"])
def test_ids_that_break_lines_of_inter_files_are_refused(tmp_path: Path, side: str, ending: str) -> None:
    dataset = _parquet(
        tmp_path, **{side: pl.Series([f"x{ending}{n % 6 if side == 'user' else n // 6}" for n in range(72)])}
    )
    with pytest.raises(DataError, match=f"inter files have no quotes, and {side} ids contain tabs or line breaks"):
        write_parts(dataset, tmp_path / "out", "inter")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_name_that_tells_a_compression_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match=f"would not be compressed, as its name says; leave {ending} out"):
        write_whole(_parquet(tmp_path), tmp_path / f"all.csv{ending}", "csv")


def test_lightgcn_names_every_column_that_it_leaves_out(tmp_path: Path) -> None:
    columns = BASE | {"user_id": [str(n % 6) for n in range(72)], "item_id": [str(n // 6) for n in range(72)]}
    (tmp_path / "source.csv").write_text(_csv(columns | {"tag": ["x"] * 72}))
    document = write_parts(File(tmp_path, path="source.csv"), tmp_path / "out", "lightgcn")
    assert document["left_out"] == ["rating", "tag", "timestamp"]
    assert document["settings"] == {"format": "lightgcn"}


def test_inter_files_have_the_names_and_types_of_recbole(tmp_path: Path) -> None:
    columns = {"uid": USERS, "movieId": ITEMS, "stars": BASE["rating"], "date": DATES, "age": ["31", "4.5"] * 36}
    (tmp_path / "source.csv").write_text(_csv(columns | {"zip": ["012", "999"] * 36}))
    frames = _assert_round_trip(File(tmp_path, path="source.csv"), tmp_path / "out", "inter")
    names = ["user_id:token", "item_id:token", "rating:float", "timestamp:token", "age:float", "zip:token"]
    assert frames["train"].columns == names


def test_parquet_has_numbers_where_every_value_is_one(tmp_path: Path) -> None:
    columns = BASE | {"zip": ["012", "999"] * 36, "long": ["0.12345678901234567", "1"] * 36, "empty": [""] * 72}
    (tmp_path / "source.csv").write_text(_csv(columns))
    write_whole(File(tmp_path, path="source.csv"), tmp_path / "all.parquet", "parquet")
    kinds = [pl.String, pl.String, pl.Float64, pl.Int64, pl.String, pl.String, pl.String]
    assert list(pl.read_parquet_schema(tmp_path / "all.parquet").values()) == kinds


def test_names_that_are_there_twice_get_a_number(tmp_path: Path) -> None:
    text = _csv(BASE | {"tag": ["x"] * 72, "TAG": ["y"] * 72}).replace("TAG", "tag", 1)
    (tmp_path / "source.csv").write_text(text)
    frames = _assert_round_trip(File(tmp_path, path="source.csv"), tmp_path / "out", "csv")
    assert frames["train"].columns == [*BASE, "tag", "tag_2"]
    assert set(frames["train"]["tag_2"]) == {"y"}


def test_given_parts_keep_columns_of_their_own(tmp_path: Path) -> None:
    for name, start, end, own in (("train", 0, 60, "a"), ("test", 60, 72, "b")):
        columns = {key: values[start:end] for key, values in BASE.items()} | {own: ["x"] * (end - start)}
        (tmp_path / f"{name}.csv").write_text(_csv(columns))
    dataset = File(tmp_path, train_path="train.csv", test_path="test.csv")
    frames = _assert_round_trip(dataset, tmp_path / "out", "csv")
    assert [frames[part].columns[-1] for part in PARTS] == ["a", "a", "b"]


def test_a_file_that_changed_after_it_was_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source.csv").write_text(_csv(BASE))
    dataset = File(tmp_path, path="source.csv")
    (tmp_path / "source.csv").write_text(_csv(BASE | {"rating": ["1"] * 72}))
    with pytest.raises(DataError, match=r"source\.csv changed after being read; start again when it is complete"):
        write_parts(dataset, tmp_path / "out", "csv")


@pytest.mark.parametrize("settings", [{"split": "leave_one_out"}, {"split": "given", "fold": "u1"}])
def test_a_published_data_set_keeps_the_numbers_of_its_file(
    shared_data: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    dataset = MovieLens100K(shared_data, **settings)
    frames = _assert_round_trip(dataset, tmp_path / "out", "csv")
    source = read_binary(dataset.files["u.data"]).decode().splitlines()
    written = ["\t".join(row) for frame in frames.values() for row in frame.rows()]
    assert sorted(written) == sorted(source)
