from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import recrun.data.datasets.settings as groups
from recrun.config.resolve import resolve
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.file import File
from recrun.data.datasets.labelled_file import LabelledFile
from recrun.data.datasets.preparation import Preparation
from recrun.data.formats.table import Layout
from recrun.errors import ConfigError, DataError
from recrun.registry import DATASETS, FORMATS
from recrun.registry.modules import read_module
from recrun.registry.read_source import read_group

OWN = """
from typing_extensions import Unpack

from recrun.data.datasets import settings
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.settings import Splitting


class Wanted(Splitting, total=False):
    \"\"\"Settings of its own.

    Args:
        colour: which one.
    \"\"\"

    colour: str


class Mine(RecDataSet):
    "Mine."

    def __init__(self, root=".", *, size: int = 3, **rest: Unpack[{group}]):
        \"\"\"Load it.

        Args:
            split: as I say.
        \"\"\"
        super().__init__(root, Preparation(**rest))
"""
SPLITTING = ["valid_ratio", "split_seed", "test_ratio", "split", "n_held_out", "n_folds", "test_fold"]
SPLITTING[3:3] = ["fold_in_ratio", "fold_in_by", "session_gap", "session_targets", "test_days", "valid_days"]


def test_a_group_declares_the_defaults_that_the_preparation_and_the_layout_have() -> None:
    source = read_module("recrun.data.datasets.settings")
    assert source is not None
    defaults = {field.name: field.default for kind in (Preparation, Layout) for field in fields(kind)}
    defaults["drop_missing"] = []
    del defaults["labelled"]  # what a data set is, which is no setting
    node = source.definitions["AnyInteractions"]
    assert isinstance(node, ast.ClassDef)
    group = read_group(node, source, "dataset x", {})
    assert {parameter.name for parameter in group} == set(defaults)
    for parameter in group:
        assert parameter.default == defaults[parameter.name], parameter.name
        assert parameter.help.endswith("."), parameter.name


def test_every_setting_of_a_group_has_its_default_and_its_help() -> None:
    source = read_module("recrun.data.datasets.settings")
    assert source is not None
    assert len(source.definitions) > 5
    for name, node in source.definitions.items():
        assert isinstance(node, ast.ClassDef)
        for parameter in read_group(node, source, "dataset x", {}):
            assert isinstance(parameter.default, (str, int, float, list, dict, type(None))), (name, parameter.name)
            assert parameter.help, (name, parameter.name)


@pytest.mark.parametrize("group", ["Splitting", "settings.Splitting"])
def test_a_data_set_in_a_file_takes_a_group_of_recrun(tmp_path: Path, group: str) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(group=group), encoding="utf-8")
    described = DATASETS.describe(f"{tmp_path}/mine.py:Mine")
    assert [parameter.name for parameter in described.parameters] == ["size", *SPLITTING]
    helps = {parameter.name: parameter.help for parameter in described.parameters}
    assert helps["split"] == "as I say."
    assert helps["n_folds"].startswith("how many folds")


def test_a_group_may_be_extended_beside_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN.format(group="Wanted"), encoding="utf-8")
    described = DATASETS.describe(f"{tmp_path}/mine.py:Mine")
    assert [parameter.name for parameter in described.parameters] == ["size", *SPLITTING, "colour"]
    assert described.parameters[-1].help == "which one."


def test_a_setting_of_a_group_is_checked_as_any_other() -> None:
    with pytest.raises(ConfigError, match=r"n_folds.*>= 2"):
        resolve(None, ["model=popularity", "dataset=MovieLensLatestSmall", "n_folds=1"])


def test_settings_are_recorded_with_the_defaults_of_the_group(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(4) for i in range(5)))
    data: RecDataSet = File(tmp_path, path="a.csv", n_folds=4, split="k_fold")
    assert (data.settings["n_folds"], data.settings["split"], data.settings["test_fold"]) == (4, "k_fold", 1)
    assert data.settings["duplicates"] == "last"
    with pytest.raises(TypeError, match="n_fold"):
        File(tmp_path, path="a.csv", n_fold=4)


def test_groups_are_typed_dictionaries() -> None:
    assert groups.AnyInteractions(split="time", n_folds=3) == {"split": "time", "n_folds": 3}


GIVEN = {
    "separator": ";",
    "header": True,
    "encoding": "latin-1",
    "escape": "\\",
    "time_format": "%Y",
    "filter": "rating > 2",
    "drop_missing": ["rating"],
    "user_column": "a",
    "item_column": "b",
    "rating_column": "c",
    "time_column": "d",
}
USELESS = [(component.name, key) for component in FORMATS for key in component.traits.without]


def test_each_setting_of_a_file_is_tried_on_formats_that_it_means_nothing_to() -> None:
    assert {key for _, key in USELESS} == set(GIVEN) == {each.name for each in fields(Layout)}


@pytest.mark.parametrize(("format", "key"), USELESS)
def test_a_setting_that_means_nothing_to_a_format_is_refused_and_an_inherited_one_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, key: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x").write_text("1 2 3\n2 3 4\n")
    Path("b.yaml").write_text("model: bprmf\ndataset: File\npath: x\nsplit: ratio\n")
    asked = [f"format={format}", f"{key}={GIVEN[key]}"]
    with pytest.raises(ConfigError, match=f"{key}: does not apply: it means nothing to files of this format; remove"):
        resolve("b.yaml", asked)
    Path("a.yaml").write_text(f"model: bprmf\ndataset: File\npath: x\nsplit: ratio\n{key}: {GIVEN[key]!r}\n")
    resolved = resolve("a.yaml", [f"format={format}"])
    assert [note for note in resolved.notes if note.startswith(f"{key}=") and note.endswith("; it is dropped")]
    with pytest.raises(DataError, match=f"x: {key} means nothing to files of format {format}; leave it out"):
        File(path="x", **{"format": format, key: GIVEN[key]})


@pytest.mark.parametrize(("name", "keys"), [("x.parquet", "separator header encoding escape"), ("x.tsv", "escape")])
def test_labelled_files_take_no_setting_that_means_nothing_to_them(tmp_path: Path, name: str, keys: str) -> None:
    (tmp_path / name).write_text("label\ta\n1\t2\n")
    for key in keys.split():
        with pytest.raises(DataError, match=f"{key} means nothing to {name[1:]} files; leave it out"):
            LabelledFile(tmp_path, path=name, sparse_columns=["a"], **{key: GIVEN[key]})
