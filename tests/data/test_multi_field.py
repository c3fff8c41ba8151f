"""Columns of several categories in a row: taken apart, fitted on train, pooled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.data.datasets import LabelledFile
from recrun.data.multi_columns.multi_field import MOST, NOTHING, MultiField, several
from recrun.data.tokenizer import Tokenizer
from recrun.errors import ConfigError, DataError
from recrun.workflows.build import prepare
from recrun.workflows.evaluate import evaluate

GENRES = ["a|b", "b", "", "c | a|", "b|b"]
CHOSEN: dict[str, Any] = {"multi_columns": ["genres"]}


def _fail(row: int, message: str) -> DataError:
    return DataError(f"row {row}: {message}")


def _write(path: Path, genres: list[str], *, separator: str = "|") -> None:
    lines = [f"{place % 2},{value.replace('|', separator)}\n" for place, value in enumerate(genres)]
    path.write_text("label,genres\n" + "".join(lines), encoding="utf-8")


def _parts(folder: Path) -> dict[str, str]:
    for name, genres in (("train", GENRES), ("valid", ["a|z", "z"]), ("test", ["z|y|a|b", ""])):
        _write(folder / f"{name}.csv", genres)
    return {f"{name}_path": f"{name}.csv" for name in ("train", "valid", "test")}


def test_categories_are_taken_apart_without_blanks_and_rows_are_filled_up() -> None:
    numbers = several(pl.Series("genres", [value or None for value in GENRES]), "|", _fail)
    assert numbers.tolist() == [[0, 1], [1, -1], [-1, -1], [2, 0], [1, 1]]
    assert several(pl.Series("genres", [None], dtype=pl.String), "|", _fail).tolist() == [[NOTHING]]


def test_too_many_categories_in_a_row_are_refused() -> None:
    values = pl.Series("genres", ["a", "|".join("a" * (MOST + 1))])
    with pytest.raises(DataError, match="row 1: expected at most 1,000 categories as genres, found 1,001"):
        several(values, "|", _fail)


def test_unknown_categories_and_rows_without_any_have_a_category_of_their_own() -> None:
    field = MultiField("genres").fit(np.array([[7, 3], [3, NOTHING]]))
    assert field.count == 3
    found = field.transform(np.array([[3, 7, NOTHING], [5, 3, 9], [NOTHING] * 3]))
    assert found.tolist() == [[0, 1, -1], [2, 0, 2], [2, -1, -1]]


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_embeddings_are_pooled_over_the_places_that_are_filled(pooling: Any) -> None:
    field = MultiField("genres", pooling=pooling).fit(np.array([[0, 1, 2, 3]]))
    table = Tokenizer([field]).embed(3)["genres"]
    values = torch.tensor([[1, 3, -1], [2, -1, -1], [0, 0, 3]])
    weight = table.embeddings.weight.detach().clone().requires_grad_()
    rows = [weight[[1, 3]], weight[[2]], weight[[0, 0, 3]]]
    expected = torch.stack([row.mean(0) if pooling == "mean" else row.sum(0) for row in rows])[:, None]
    found = table.look_up(values)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(table.embeddings.weight.grad, weight.grad)


def test_a_file_is_read_fitted_on_train_and_read_from_the_cache_alike(tmp_path: Path) -> None:
    given = _parts(tmp_path)
    for _ in range(2):
        data = LabelledFile(tmp_path, **given, **CHOSEN)
        columns = {part: data.interactions(part).columns["genres"].tolist() for part in ("train", "valid", "test")}
        # a, b, c are the categories of train; 3 is the one of rows without any and of y and z, which train lacks.
        assert columns["train"] == [[0, 1, -1, -1], [1, -1, -1, -1], [3, -1, -1, -1], [2, 0, -1, -1], [1, 1, -1, -1]]
        assert columns["valid"] == [[0, 3, -1, -1], [3, -1, -1, -1]]
        assert columns["test"] == [[3, 3, 0, 1], [3, -1, -1, -1]]
        assert "categories in test that train lacks, taken as missing: genres (2)" in data.notes
        assert "missing values, a category of their own: genres (2)" in data.notes


def test_the_separator_is_chosen(tmp_path: Path) -> None:
    _write(tmp_path / "rows.csv", GENRES * 4, separator=";")
    data = LabelledFile(tmp_path, path="rows.csv", multi_separator=";", **CHOSEN)
    assert data.fields["genres"].count == 4


@pytest.mark.parametrize("model", ["deepfm", "finalmlp"])
def test_models_learn_from_such_a_column_and_evaluate_to_the_same_digits(tmp_path: Path, model: str) -> None:
    rng = np.random.default_rng(2)
    names = np.array(list("abcde"))
    rows = ["|".join(rng.permutation(names)[: rng.integers(0, 4)]) for _ in range(400)]
    lines = [f"{int('b' in row)},{row}\n" for row in rows]
    (tmp_path / "rows.csv").write_text("label,genres\n" + "".join(lines), encoding="utf-8")
    settings = ["dataset=LabelledFile", f"root={tmp_path}", "path=rows.csv", "multi_columns=[genres]", "verbose=0"]
    trained = ["epochs=12", "lr=0.01", "batch_size=32", "device=cpu", "threads=1", "which4best=auc"]
    resolved = resolve(f"synthetic/{model}", [*settings, *trained, "monitors=[auc]"])
    result = prepare(resolved, runs=tmp_path / "runs").fit()
    assert result["test"]["auc"] > 0.9
    assert evaluate(result["run"], ["verbose=0"], split="test")["metrics"] == result["test"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["sparse_columns=[x]", "multi_columns=[x]"], "multi_columns: a column is in sparse_columns too"),
        (["dense_columns=[x]", "multi_columns=[x]"], "multi_columns: a column is in dense_columns too"),
        (["multi_columns=[label]"], "multi_columns: label is the label"),
        (["sparse_columns=[x]", "multi_pooling=sum"], "multi_pooling: does not apply: there are no multi_columns"),
        (["multi_columns=[x]", "multi_pooling=max"], "multi_pooling: expected"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("lr", ["dataset=LabelledFile", "path=a.csv", *given])


def test_columns_that_patterns_name_twice_and_lists_of_numbers_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "rows.csv", GENRES)
    with pytest.raises(DataError, match="sparse_columns and multi_columns both name 'genres'"):
        LabelledFile(tmp_path, path="rows.csv", sparse_columns=["g*"], **CHOSEN)
    (tmp_path / "my.inter").write_text("label:float\tp:float_seq\tt:token_seq\n1\t1 2\ta b\n0\t3\tb\n" * 1)
    for columns, message in (({"multi_columns": ["p"]}, "leave it out"), ({"sparse_columns": ["t"]}, "multi_columns")):
        with pytest.raises(DataError, match=rf"_seq holds several values in a row; .*{message}"):
            LabelledFile(tmp_path, path="my.inter", **columns)
