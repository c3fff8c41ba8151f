"""`recrun import`: what it writes, what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
BPR = "model: BPR\ndataset: toys\nepochs: 3\ntransform: mask_itemseq\n"
TWO = """\
reader: {local_path: a.tsv}
models:
  EASE: {l2: [1, 2]}
  Pop: {}
  SGL: {}
"""


def _write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return name


def test_a_config_is_written_and_every_key_is_accounted_for(recrun: Run, tmp_path: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", BPR)
    outcome = recrun("import", "recbole", theirs, "--to", "mine.yaml")
    assert outcome.code == 0
    assert "theirs.yaml:3: epochs: 3 -> epochs: 3" in outcome.out
    assert "theirs.yaml:4: transform: mask_itemseq: rows are not transformed here" in outcome.out
    assert "by default: learning_rate: 0.001 -> lr: 0.001" in outcome.out
    assert "wrote mine.yaml" in outcome.out
    assert recrun("validate", "mine.yaml").code == 0


def test_without_a_target_the_config_is_on_stdout_and_the_rest_on_stderr(recrun: Run, tmp_path: Path) -> None:
    outcome = recrun("import", "recbole", _write(tmp_path, "theirs.yaml", BPR))
    assert outcome.code == 0
    assert outcome.out.startswith("# BPR of RecBole, imported from theirs.yaml.\n")
    assert "not mapped" in outcome.err


def test_a_file_that_exists_is_kept_unless_forced(recrun: Run, tmp_path: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", BPR)
    _write(tmp_path, "mine.yaml", "kept")
    outcome = recrun("import", "recbole", theirs, "--to", "mine.yaml")
    assert outcome.code == 2
    assert "--to mine.yaml: exists already; --force overwrites it" in outcome.err
    assert (tmp_path / "mine.yaml").read_text() == "kept"
    assert recrun("import", "recbole", theirs, "--to", "mine.yaml", "--force").code == 0
    assert "bprmf" in (tmp_path / "mine.yaml").read_text()


def test_several_models_need_a_folder_or_a_choice(recrun: Run, tmp_path: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", TWO)
    for arguments in ((), ("--to", "mine.yaml")):
        outcome = recrun("import", "warprec", theirs, *arguments)
        assert outcome.code == 2
        assert "2 models (EASE, Pop)" in outcome.err
    outcome = recrun("import", "warprec", theirs, "--to", "mine/")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["ease.yaml", "pop.yaml"]
    assert "SGL is made in other ways there; write a config from recrun show sgl" in outcome.out
    assert "try its values: recrun sweep mine/ease.yaml reg_weight=1,2" in outcome.out
    assert recrun("import", "warprec", theirs, "--model", "ease", "--to", "ease.yaml").code == 0


def test_strict_writes_nothing_where_something_is_not_mapped(recrun: Run, tmp_path: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", BPR)
    outcome = recrun("import", "recbole", theirs, "--strict", "--to", "mine.yaml")
    assert outcome.code == 2
    assert "error: 1 keys have no counterpart; nothing was written" in outcome.err
    assert not (tmp_path / "mine.yaml").exists()
    _write(tmp_path, "theirs.yaml", "model: BPR\ndataset: toys\n")
    assert recrun("import", "recbole", theirs, "--strict", "--to", "mine.yaml").code == 0


def test_json_is_one_document_of_everything(recrun: Run, tmp_path: Path) -> None:
    outcome = recrun("import", "warprec", _write(tmp_path, "theirs.yaml", TWO), "--json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert [config["model"] for config in document["configs"]] == ["EASE", "Pop"]
    ease = document["configs"][0]
    assert ease["settings"]["reg_weight"] == 1
    assert ease["sweep"] == "recrun sweep ease.yaml reg_weight=1,2"
    [line] = [line for line in ease["mapped"] if line["key"] == "models.EASE.l2"]
    assert (line["line"], line["value"], line["settings"]) == (3, [1, 2], {"reg_weight": 1})
    assert document["refused"][0]["line"] == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: NCL\ndataset: toys\n",
            "theirs.yaml:1:8: model: there is no counterpart of RecBole's model 'NCL' here",
        ),
        ("model: BPR\ndataset: toys\nepochs: -1\n", "theirs.yaml:3:9: epochs: expected an integer >= 0, found -1"),
        ("model: !!python/name:os.system\n", "the tag"),
        ("a: " + "x" * (1 << 17), "is larger than 64 KiB"),
    ],
)
def test_a_hostile_or_wrong_config_is_one_error(recrun: Run, tmp_path: Path, text: str, message: str) -> None:
    outcome = recrun("import", "recbole", _write(tmp_path, "theirs.yaml", text), "--to", "mine.yaml")
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("error:") == 1
    assert not (tmp_path / "mine.yaml").exists()


def test_usage_errors_name_what_is_wrong(recrun: Run, tmp_path: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", BPR)
    assert "not one of 'recbole', 'freerec', 'elliot', 'warprec'" in recrun("import", "cornac", theirs).err
    assert "Elliot reads one config; found 2" in recrun("import", "elliot", theirs, theirs).err
    assert "cannot be read" in recrun("import", "recbole", "missing.yaml").err
    assert "there is no folder" in recrun("import", "recbole", theirs, "--to", "a/b/mine.yaml").err


@pytest.mark.slow
def test_an_imported_config_trains(recrun: Run, tmp_path: Path, shared_data: Path) -> None:
    theirs = _write(tmp_path, "theirs.yaml", "model: BPR\ndataset: ml-100k\nepochs: 5\ntopk: [10]\n")
    assert recrun("import", "recbole", theirs, "--data", str(shared_data), "--to", "mine.yaml").code == 0
    outcome = recrun("train", "mine.yaml", "--json", "-q", "--no-plots")
    assert outcome.code == 0
    assert json.loads(outcome.out)["test"]["recall@10"] > 0.1
