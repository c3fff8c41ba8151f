"""Users' own labelled rows: which columns become what, what is fitted on train, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets import LabelledFile
from recrun.data.datasets.feature_columns import MISSING
from recrun.errors import ConfigError, DataError
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate

ROWS = """label,I1,I2,C1,C2,note
1,0,2.5,a,x,n
0,,1,b,,n
1,4,3,a,y,n
0,2,,c,x,n
1,6,3.5,a,z,n
0,8,0,b,x,n
1,0,1,a,y,n
0,1,2,c,x,n
1,3,4,b,,n
0,5,6,a,w,n
"""
CHOSEN: dict[str, Any] = {"sparse_columns": ["C*"], "dense_columns": ["I1", "I2"], "dense_na_value": -1.0}

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + "".join(
    f"{u}\t{i}\t{(u * i) % 5 + 1}\t{100 * u + i}\n" for u in range(1, 9) for i in range(1, 7)
)
USERS = "user_id:token\tage:token\tgender:token\tlikes:token_seq\n" + "".join(
    f"{u}\t{20 + u}\t{'MF'[u % 2]}\ta b\n" for u in range(1, 8)
)
ITEMS = "item_id:token\tmovie_title:token_seq\tprice:float\n" + "".join(
    f"{i}\tTitle, {i}\t{i / 2}\n" for i in range(1, 7)
)
ATOMIC: dict[str, Any] = {
    "path": "my.inter",
    "user_path": "my.user",
    "item_path": "my.item",
    "user_column": "user_id",
    "item_column": "item_id",
    "label_column": "rating",
    "label_threshold": 4,
    "sparse_columns": ["gender"],
    "dense_columns": ["price"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("rows.csv", ROWS), ("my.inter", INTER), ("my.user", USERS), ("my.item", ITEMS)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def parts(folder: Path, **changed: str) -> dict[str, str]:
    """Write the rows into given parts, six of them train."""
    head, *lines = ROWS.splitlines(keepends=True)
    for name, chosen in (("train", lines[:6]), ("valid", lines[6:8]), ("test", lines[8:])):
        (folder / f"{name}.csv").write_text(changed.get(name, head + "".join(chosen)), encoding="utf-8")
    return {f"{name}_path": f"{name}.csv" for name in ("train", "valid", "test")}


def test_categories_and_scales_are_those_of_train_and_zero_is_a_number(folder: Path) -> None:
    data = LabelledFile(folder, **parts(folder), **CHOSEN)
    train, test = data.interactions("train").columns, data.interactions("test").columns
    assert [field.name for field in data.fields] == ["user", "item", "C1", "C2", "I1", "I2", "label"]
    assert train["C1"].tolist() == [0, 1, 0, 2, 0, 1]
    # x, y, z and what is missing are the categories of train; w, which test has, is taken for missing.
    assert train["C2"].tolist() == [1, 0, 2, 1, 3, 1]
    assert test["C2"].tolist() == [0, 0]
    assert data.fields["C2"].count == 4
    # Of the numbers 0, 4, 2, 6, 8 of train the mean is 4 and the deviation √8; -1 stands for the missing one.
    assert train["I1"] == pytest.approx((np.array([0, -1, 4, 2, 6, 8]) - 4) / np.sqrt(8), abs=1e-6)
    assert test["I1"] == pytest.approx((np.array([3, 5]) - 4) / np.sqrt(8), abs=1e-6)
    assert train["label"].tolist() == [1, 0, 1, 0, 1, 0]
    notes = "\n".join(data.notes)
    assert "train.csv: column note is not used" in notes
    assert "missing values, a category of their own: C2 (2)" in notes
    assert "missing values, taken as -1.0: I1 (1), I2 (1)" in notes
    assert "categories in test that train lacks, taken as missing: C2 (1)" in notes


@pytest.mark.parametrize(("transformer", "expected"), [("none", [0, -1, 4]), ("minmax", [0, -0.125, 0.5])])
def test_numbers_are_left_or_scaled(folder: Path, transformer: Any, expected: list[float]) -> None:
    data = LabelledFile(folder, **parts(folder), **CHOSEN, dense_transformer=transformer)
    assert data.interactions("train").columns["I1"][:3] == pytest.approx(expected)


def test_one_file_is_split_at_random_or_by_time(folder: Path) -> None:
    data = LabelledFile(folder, path="rows.csv", **CHOSEN, test_ratio=0.2)
    assert [len(data.interactions(part)) for part in ("train", "valid", "test")] == [7, 1, 2]
    by_time = LabelledFile(folder, **ATOMIC, time_column="timestamp", split="time", test_ratio=0.25)
    latest = by_time.interactions("test").columns["timestamp"].min()
    assert by_time.interactions("train").columns["timestamp"].max() < latest
    assert "timestamp" not in [field.name for field in by_time.fields]


def test_the_cache_gives_the_same(folder: Path) -> None:
    first, second = (LabelledFile(folder, path="rows.csv", **CHOSEN) for _ in range(2))
    assert first.notes == second.notes
    for part in ("train", "valid", "test"):
        for name, values in first.interactions(part).columns.items():  # type: ignore[arg-type]
            assert np.array_equal(values, second.interactions(part).columns[name])  # type: ignore[arg-type]


def test_features_of_users_and_items_are_joined_from_atomic_files(folder: Path) -> None:
    data = LabelledFile(folder, **ATOMIC, dense_transformer="none")
    rows = data.interactions("train")
    users, items = data.user_ids[rows.users], data.item_ids[rows.items]
    assert rows.columns["price"] == pytest.approx(items / 2)
    expected = (users * items) % 5 + 1 >= 4
    assert np.array_equal(rows.columns["label"], expected)
    # User 8 has no line of features: F, M, and missing are 1, 2, 0.
    assert rows.columns["gender"].tolist() == [0 if user == 8 else 1 if user % 2 else 2 for user in users]
    notes = "\n".join(data.notes)
    assert "6 of 48 rows of my.inter have a user that my.user lacks; its features are missing there" in notes
    assert [line for line in notes.splitlines() if "not used" in line] == [
        "my.inter: column timestamp:float is not used",
        "my.user: columns age:token, likes:token_seq are not used",
        "my.item: column movie_title:token_seq is not used",
    ]


def test_files_without_names_and_parquet_are_read_too(folder: Path) -> None:
    import polars as pl

    body = ROWS.partition("\n")[2].replace(",", "\t")
    (folder / "bare.tsv").write_text(body, encoding="utf-8")
    pl.read_csv(folder / "rows.csv").write_parquet(folder / "rows.parquet")
    named = LabelledFile(folder, path="rows.csv", **CHOSEN)
    wanted = {"sparse_columns": ["4", "5"], "dense_columns": ["2", "3"], "dense_na_value": -1.0}
    bare = LabelledFile(folder, path="bare.tsv", header=False, label_column="1", **wanted)
    parquet = LabelledFile(folder, path="rows.parquet", **CHOSEN)
    for other, names in ((bare, "4523"), (parquet, ["C1", "C2", "I1", "I2"])):
        for ours, theirs in zip(["C1", "C2", "I1", "I2"], names, strict=True):
            columns = [data.interactions("train").columns for data in (named, other)]
            assert np.array_equal(columns[0][ours], columns[1][theirs])


BY_NAME: dict[str, Any] = {
    "path": "x.parquet",
    "user_column": "user",
    "item_column": "item",
    "sparse_columns": ["kind"],
}


def _labelled(folder: Path, **columns: pl.Series) -> None:
    """Write x.parquet with whole numbers of users, items and kinds as integers, but for the columns given."""
    rows = pl.DataFrame({name: pl.Series([1, 2, 3, 4] * 5) for name in ("user", "item", "kind")})
    rows.with_columns(**columns, label=pl.Series([0, 1] * 10)).write_parquet(folder / "x.parquet")


@pytest.mark.parametrize("kind", [pl.Float32, pl.Float64])
@pytest.mark.parametrize("name", ["user", "item", "kind"])
def test_whole_floats_are_the_names_that_integers_are(tmp_path: Path, name: str, kind: type[pl.DataType]) -> None:
    _labelled(tmp_path)
    integers = LabelledFile(tmp_path, **BY_NAME)
    _labelled(tmp_path, **{name: pl.Series([1, 2, 3, 4] * 5).cast(kind)})
    floats = LabelledFile(tmp_path, **BY_NAME)
    for ids in ("user_ids", "item_ids"):
        assert np.array_equal(getattr(integers, ids), getattr(floats, ids))
    ours, theirs = (data.interactions("train") for data in (integers, floats))
    assert np.array_equal(ours.columns["kind"], theirs.columns["kind"])
    assert np.array_equal(ours.users, theirs.users)


@pytest.mark.parametrize(("kind", "first"), [(pl.Float32, 2**24), (pl.Float64, 2**53)])
@pytest.mark.parametrize("name", ["user", "item", "kind"])
def test_a_float_that_stands_for_several_integers_is_no_name(
    tmp_path: Path, name: str, kind: type[pl.DataType], first: int
) -> None:
    _labelled(tmp_path, **{name: pl.Series([first - 1, first - 2, first + 1, 7] * 5).cast(kind)})
    with pytest.raises(DataError) as caught:
        LabelledFile(tmp_path, **BY_NAME)
    told = f"the {name} is {first}, which {kind.__name__} cannot tell from its neighbours"
    assert str(caught.value).startswith(f"{tmp_path}/x.parquet:3: {told}; write the column as integers or text")


def test_large_floats_are_numbers_where_they_are_computed_with(tmp_path: Path) -> None:
    _labelled(tmp_path, price=pl.Series([1e18, 2e18, 3e18, 4e18] * 5))
    data = LabelledFile(tmp_path, **BY_NAME, dense_columns=["price"], dense_transformer="none")
    assert data.interactions("train").columns["price"].max() > 1e18


def test_not_a_number_is_a_missing_category(tmp_path: Path) -> None:
    _labelled(tmp_path, kind=pl.Series([1.0, 2.0, float("nan"), 4.0] * 5))
    data = LabelledFile(tmp_path, **BY_NAME)
    assert data.notes == ["missing values, a category of their own: kind (5)"]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (ROWS.replace("\n", "\r\n").encode(), {}),
        (("\ufeff" + ROWS).encode(), {}),
        (ROWS.replace(",", "::").encode(), {}),
        (ROWS.replace(",", ";").encode("utf-16"), {"encoding": "utf-16"}),
        ((ROWS.replace("\n0,", "\n\n0,") + "\n\n").encode(), {}),
        (ROWS.replace(",a,", ',"a",').replace("C1", '"C1"').encode(), {}),
        (ROWS.replace("2.5", " 2.5 ").replace(",,", ',"",').encode(), {}),
    ],
    ids=["Windows", "byte order mark", "two characters", "utf-16", "blank lines", "quotes", "blanks and empty quotes"],
)
def test_however_it_is_written_the_rows_are_the_same(folder: Path, text: bytes, settings: dict[str, Any]) -> None:
    (folder / "other.csv").write_bytes(text)
    chosen = {**CHOSEN, "sparse_columns": ["C*", "note"]}
    plain = LabelledFile(folder, path="rows.csv", **chosen)
    other = LabelledFile(folder, path="other.csv", **chosen, **settings)
    assert other.hashes["split"] == plain.hashes["split"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparse_columns": ["C7"]}, r"there is no column 'C7', which sparse_columns names; did you mean 'C1'\? Found"),
        ({"label_column": "labl"}, r"rows.csv:1: there is no column 'labl', which label_column names; did you mean"),
        ({"dense_na_value": None}, r"rows.csv:3: the I1 is missing \(1 of 10 rows\); set dense_na_value"),
        ({"dense_columns": ["I1", "note"]}, r"rows.csv:2: expected a finite number as note, found 'n'"),
        ({"dense_columns": ["I*", "C1"]}, r"sparse_columns and dense_columns both name 'C1'"),
        ({"dense_columns": ["label"]}, r"dense_columns names 'label', which is the label already \(label_column\)"),
        ({"label_column": "I2", "dense_columns": []}, r"rows.csv:5: the label is missing \(column 'I2'; 1 such rows\)"),
        ({"label_column": "C1", "sparse_columns": ["C2"]}, r"rows.csv:2: expected a finite number as C1, found 'a'"),
        ({"sparse_columns": [], "dense_columns": []}, r"there are no features"),
        ({"split": "time"}, r"split=time needs time_column"),
        ({"user_path": "my.user"}, r"user_path needs user_column"),
        ({"train_path": "rows.csv"}, r"LabelledFile needs either path, or train_path and test_path"),
    ],
)
def test_what_cannot_be_read_as_asked_is_refused(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        LabelledFile(folder, **{"path": "rows.csv", **CHOSEN, **settings})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparse_columns": ["likes"]}, r"my.user:1: likes:token_seq holds several values in a row"),
        ({"label_threshold": None}, r"my.inter:2: expected 0 or 1 as label \(column 'rating'\), found 2; or set"),
        ({"dense_columns": ["age"]}, r"my.inter:44: the age is missing \(6 of 48 rows\); set dense_na_value"),
        ({"user_column": "user"}, r"my.inter:1: there is no column 'user', which user_column names; did you mean"),
        ({"dense_columns": ["timestamp"]}, r"'timestamp' cannot be a feature under this name; give it with time_col"),
        ({"label_threshold": 9}, r"all labels of train are 0"),
    ],
)
def test_atomic_files_are_refused_where_they_do_not_fit(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        LabelledFile(folder, **{**ATOMIC, **settings})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rows.csv", ("1,4,3,a,y,n", "1,4,3,a,y"), r"rows.csv:4: expected 6 columns, found 5"),
        ("rows.csv", ("1,4,3,a,y,n", "2,4,3,a,y,n"), r"rows.csv:4: expected 0 or 1 as label"),
        ("rows.csv", ("1,4,3,a,y,n", "\n1,nan,3,a,y,n"), r"rows.csv:5: expected a finite number as I1, found 'nan'"),
        (
            "rows.csv",
            ("1,4,3,a,y,n", "1,1e39,3,a,y,n"),
            r"rows.csv:4: the I1 is 1e39, which 32 bits cannot hold \(a missing one\?\); write it smaller, or leave it",
        ),
        ("rows.csv", ("1,4,3,a,y,n", "1,-1e200,3,a,y,n"), r"rows.csv:4: the I1 is -1e200, which 32 bits cannot hold"),
        ("my.user", ("3\t23", "2\t23"), r"my.user:4: the user_id '2' has a line of features already"),
        ("my.item", ("\t0.5", "\tcheap"), r"my.inter:2: .* price, found 'cheap' \(it comes from my.item\)"),
        ("my.inter", ("\n4\t3\t", "\n\t3\t"), r"my.inter:22: the user is missing"),
    ],
)
def test_faulty_lines_are_named(folder: Path, name: str, change: tuple[str, str], message: str) -> None:
    file = folder / name
    text = file.read_text(encoding="utf-8")
    assert change[0] in text
    file.write_text(text.replace(*change, 1), encoding="utf-8")
    chosen = {"path": "rows.csv", **CHOSEN} if name == "rows.csv" else ATOMIC
    with pytest.raises(DataError, match=message):
        LabelledFile(folder, **chosen)


def test_rows_of_given_parts_may_repeat_a_pair(folder: Path) -> None:
    head, *lines = ROWS.splitlines(keepends=True)
    data = LabelledFile(folder, **parts(folder, test=head + "".join(lines[:4])), **CHOSEN)
    assert len(data.interactions("test")) == 4
    assert (data.interactions("train").columns["C2"] != MISSING).all()


def options(folder: Path, settings: dict[str, Any]) -> list[str]:
    shown = {key: f"[{','.join(value)}]" if isinstance(value, list) else value for key, value in settings.items()}
    common = ["device=cpu", "threads=1", "verbose=0", "epochs=2", "embedding_dim=4", "hidden_dims=[8]"]
    return ["dataset=LabelledFile", f"root={folder}", *(f"{key}={value}" for key, value in shown.items()), *common]


def test_a_model_trains_on_rows_without_users_and_is_evaluated_again(folder: Path, tmp_path: Path) -> None:
    settings = {**parts(folder), **CHOSEN}
    coach = prepare(resolve("deepfm", [*options(folder, settings), "monitors=[auc,logloss]"]), runs=tmp_path / "runs")
    assert [field.name for field in coach.model.features] == ["C1", "C2", "I1", "I2"], "the one user tells nothing"
    result = coach.fit()
    assert result["rows"] == {"valid": 2, "test": 2}
    assert evaluate(result["run"], ["verbose=0"], split="test")["metrics"] == result["test"]


def test_gauc_without_users_is_refused_before_data_is_read_and_dropped_where_it_is_inherited(folder: Path) -> None:
    chosen = options(folder, {"path": "nowhere.csv", **CHOSEN})
    assert resolve("deepfm", chosen).config.monitors == ["auc", "logloss"]
    with pytest.raises(ConfigError) as caught:
        resolve("deepfm", [*chosen, "monitors=[gauc,logloss]"])
    assert "gauc is computed for each user, but user_column is not set; set it" in str(caught.value)
    resolve("deepfm", options(folder, ATOMIC))


def test_the_criteo_sample_trains_with_the_bundled_config(shared_data: Path, tmp_path: Path) -> None:
    overrides = [f"root={shared_data / 'criteo-sample'}", "device=cpu", "threads=1", "verbose=0"]
    result = prepare(resolve("criteo/deepfm", overrides), runs=tmp_path).fit()
    assert result["rows"] == {"valid": 20, "test": 20}
    assert all(np.isfinite(value) for value in result["test"].values())


def test_features_of_movielens_tell_ratings_apart(shared_data: Path, tmp_path: Path) -> None:
    names = {"path": "ml-100k.inter", "user_path": "ml-100k.user", "item_path": "ml-100k.item"}
    chosen = {"sparse_columns": ["gender", "occupation", "release_year"], "dense_columns": ["age"]}
    settings = options(shared_data / "ml-100k" / "recbole", {**ATOMIC, **names, **chosen})
    result = prepare(resolve("synthetic/deepfm", settings), runs=tmp_path).fit()
    assert result["test"]["auc"] > 0.75
    alone = {**ATOMIC, **names, **chosen, "user_column": None, "item_column": None}
    del alone["user_path"], alone["item_path"]
    with pytest.raises(DataError, match="there is no column 'gender'"):
        LabelledFile(shared_data / "ml-100k" / "recbole", **alone)


@pytest.mark.parametrize("separator", ["|", ";", "; ", ", ", "[,]"])
def test_several_values_in_a_field_are_noticed(tmp_path: Path, separator: str) -> None:
    genres = [f"{a}{separator.strip('[]')}{b}" for a in "abcdef" for b in "abcdef" if a < b]
    genres = [f"[{each}]" if separator == "[,]" else each for each in genres]
    rows = [f'{k % 20},"{genres[k % 15]}",{k % 2}' for k in range(300)]
    (tmp_path / "x.csv").write_text("user,genres,label\n" + "\n".join(rows) + "\n")
    data = LabelledFile(tmp_path, path="x.csv", sparse_columns=["genres"])
    told = f"genres: 15 categories, all hold {separator.strip(' []')!r}; "
    told += "only multi_columns takes several values in one field apart"
    assert told in data.notes


@pytest.mark.parametrize("values", ["city {k}, country {m}", "Smith, {k}", "{k}|", "a,b", "2020-01-{m}", "{k}.{m}"])
def test_a_separator_in_values_that_do_not_recur_is_no_list(tmp_path: Path, values: str) -> None:
    rows = [f'{k % 20},"{values.format(k=k, m=k % 25)}",{k % 2}' for k in range(300)]
    (tmp_path / "x.csv").write_text("user,place,label\n" + "\n".join(rows) + "\n")
    data = LabelledFile(tmp_path, path="x.csv", sparse_columns=["place"])
    assert not [note for note in data.notes if "taken apart" in note]


@pytest.mark.parametrize("words", [(False, True), ("false", "true"), ("False", "TRUE "), (0, 1)])
@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_labels_may_be_true_and_false(tmp_path: Path, words: tuple[Any, Any], name: str) -> None:
    frame = pl.DataFrame({"label": list(words) * 20, "item": list(range(20)) * 2})
    if name == "x.csv":
        frame.write_csv(tmp_path / name)
    else:
        frame.write_parquet(tmp_path / name)
    data = LabelledFile(tmp_path, path=name, item_column="item", split="ratio")
    found = {part: data.interactions(part) for part in ("train", "valid", "test")}
    assert sum(len(part) for part in found.values()) == 40
    for part in found.values():
        assert part.columns["label"].tolist() == [item % 2 for item in part.items.tolist()]


def test_true_beside_a_number_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("label,item\ntrue,1\n0,2\n")
    with pytest.raises(DataError, match=r"x\.csv:2: expected a finite number as label, found 'true'"):
        LabelledFile(tmp_path, path="x.csv", item_column="item")
