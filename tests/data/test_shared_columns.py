"""Columns that share their categories and embeddings with another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets import LabelledFile, SyntheticClicks
from recrun.data.export import write_parts
from recrun.errors import ConfigError, DataError
from recrun.workflows.build import build, prepare
from recrun.workflows.evaluate import evaluate

ROWS = {
    "train": ["1,b,x,c|b,y|x", "0,a,y,,", "1,c,x, b |,x", "0,b,,d|b|a,z|x|y"],
    "valid": ["0,d,z,a,y"],
    "test": ["1,d,x,e|c,y|x", "0,q,w,,"],
}
PARTS = {f"{name}_path": f"{name}.csv" for name in ROWS}
CHOSEN: dict[str, Any] = {"sparse_columns": ["ad", "kind"], "multi_columns": ["*history"]}
SHARED = {"history": "ad", "kind_history": "kind"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in ROWS.items():
        lines = ["label,ad,kind,history,kind_history", *rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_categories_are_those_of_both_columns_in_train_and_unknown_ones_are_one(folder: Path) -> None:
    for _ in range(2):  # the second time from the cache
        data = LabelledFile(folder, **PARTS, **CHOSEN, shared_columns=SHARED)
        columns = {part: data.interactions(part).columns for part in ("train", "valid", "test")}
        # a, b, c, and d of a history alone, are 0 to 3; 4 is what train lacks.
        assert columns["train"]["ad"].tolist() == [1, 0, 2, 1]
        assert columns["train"]["history"].tolist() == [[2, 1, -1], [-1, -1, -1], [1, -1, -1], [3, 1, 0]]
        assert columns["valid"]["ad"].tolist() == [3]
        assert columns["test"]["ad"].tolist() == [3, 4]
        assert columns["test"]["history"].tolist() == [[4, 2, -1], [-1, -1, -1]]
        # A missing kind is 0, and so is w, which train lacks; x, y and z are 1 to 3.
        assert columns["train"]["kind"].tolist() == [1, 2, 1, 0]
        assert columns["train"]["kind_history"].tolist() == [[2, 1, -1], [-1, -1, -1], [1, -1, -1], [3, 1, 2]]
        assert columns["test"]["kind"].tolist() == [1, 0]
        assert [data.fields[name].count for name in ("ad", "history", "kind", "kind_history")] == [5, 5, 4, 4]
        assert "missing values, an embedding of zeros: history (2), kind_history (2)" in data.notes
        assert "missing values, a category of their own: kind (1)" in data.notes
        assert "categories in test that train lacks, taken as missing: ad (1), kind (1), history (1)" in data.notes


def test_trained_on_train_and_valid_the_categories_are_those_of_both_parts(folder: Path) -> None:
    (folder / "valid.csv").write_text("label,ad,kind,history,kind_history\n0,d,z,e,y\n", encoding="utf-8")
    data = LabelledFile(folder, **PARTS, **CHOSEN, shared_columns=SHARED)
    assert data.fields["ad"].count == 5
    data.train_on_valid()
    assert data.fields["ad"].count == 6
    assert data.interactions("test").columns["history"].tolist() == [[4, 2, -1], [-1, -1, -1]]


def test_a_column_that_is_not_shared_keeps_its_numbers(folder: Path) -> None:
    alone = LabelledFile(folder, **PARTS, **CHOSEN)
    data = LabelledFile(folder, **PARTS, **CHOSEN, shared_columns={"history": "ad"})
    for name in ("kind", "kind_history", "label"):
        assert np.array_equal(alone.interactions("train").columns[name], data.interactions("train").columns[name])


@pytest.mark.parametrize("model", ["lr", "fm", "deepfm", "dcn", "dcnv2", "xdeepfm", "autoint", "finalmlp", "din"])
def test_every_model_of_labels_shares_the_embeddings(model: str, folder: Path, tmp_path: Path) -> None:
    files = [f"{key}={value}" for key, value in PARTS.items()]
    columns = ["sparse_columns=[ad, kind]", "multi_columns=[history, kind_history]"]
    shared = "shared_columns={history: ad, kind_history: kind}"
    given = ["dataset=LabelledFile", f"root={folder}", *files, *columns, shared, "device=cpu", "threads=1", "epochs=1"]
    settings = [*given, "batch_size=2", "monitors=[logloss]", "which4best=logloss", "verbose=0"]
    resolved = resolve(f"synthetic/{model}", settings)
    state = build(resolved).model.state_dict()
    assert not [name for name in state if "history" in name]
    assert any(name.endswith("embeddings.ad.weight") and len(values) == 5 for name, values in state.items())
    result = prepare(resolved, runs=tmp_path / "runs").fit()
    assert evaluate(result["run"], ["verbose=0"], split="test")["metrics"] == result["test"]


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"histori": "ad"}, "'histori' is not of multi_columns (did you mean 'history'?); only those share the categ"),
        ({"ad": "kind"}, "'ad' is not of multi_columns (found 'history', 'kind_history'); only those share"),
        ({"history": "adds"}, "'history' can share the categories of a column of sparse_columns; 'adds' is not of"),
        ({"history": "price"}, "of a column of sparse_columns; 'price' holds numbers (dense_columns)"),
        ({"history": "kind_history"}, "'kind_history' has several categories in a row itself (multi_columns)"),
        ({"history": "who"}, "'who' is the user (user_column); leave user_column out and name it in sparse_columns"),
        ({"history": "clicked"}, "'clicked' is the label (label_column)"),
    ],
)
def test_columns_that_cannot_share_are_refused(tmp_path: Path, shared: dict[str, str], message: str) -> None:
    text = "clicked,who,ad,kind,price,history,kind_history\n1,u,a,x,2,a|b,x\n0,v,b,y,1,a,x\n"
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    given = {"label_column": "clicked", "user_column": "who", "dense_columns": ["price"], **CHOSEN}
    with pytest.raises(DataError) as caught:
        LabelledFile(tmp_path, path="rows.csv", **given, shared_columns=shared)
    assert message in str(caught.value)


def test_columns_without_a_common_category_are_refused(tmp_path: Path) -> None:
    text = "label,ad,kind,history,kind_history\n1,a,x,,\n0,b,x,b^a,x\n"
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    with pytest.raises(
        DataError, match=r"rows.csv:3: no category of history is one of ad, as 'b\^a' is not; is multi_sep"
    ):
        LabelledFile(tmp_path, path="rows.csv", **CHOSEN, shared_columns=SHARED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["sparse_columns=[a]", "shared_columns={h: a}"], "there are no multi_columns to share others' categories"),
        (["multi_columns=[h]", "shared_columns=[h]"], "shared_columns: expected a mapping, found"),
        (["multi_columns=[h]", "shared_columns={h: 1}"], "shared_columns: expected a mapping"),
        (["multi_columns=[h]", "sparse_columns=[a, b]", "shared_columns={a: b}"], "it names columns of multi_columns"),
        (["multi_columns=[h, i]", "shared_columns={h: i}"], "only categories of a column of sparse_columns can be"),
        (["multi_columns=[h]", "dense_columns=[p]", "shared_columns={h: p}"], "only categories of a column of sparse"),
        (["multi_columns=[h]", "item_column=i", "shared_columns={h: i}"], "only categories of a column of sparse_col"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_data_is_read(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("lr", ["dataset=LabelledFile", "path=a.csv", *given])


def test_generated_histories_cannot_be_written_to_files(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"SyntheticClicks has several categories in a row \(history\), which cannot be"
    ):
        write_parts(SyntheticClicks(n_rows=300, n_history_items=2), tmp_path / "out", "csv")
