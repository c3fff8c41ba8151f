"""Which data an argument means: a config, a registered data set, files of interactions or of labelled rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.data.describe.find_data import describe_data, find_data, open_data, read_root
from recrun.errors import ConfigError, DataError

ROWS = "".join(f"{u},{i}\n" for u in range(8) for i in range(10))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user,item\n" + ROWS)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "train.csv").write_text("user,item\n" + ROWS)
    (tmp_path / "parts" / "test.csv").write_text("user,item\n" + "".join(f"{u},{10 + u % 2}\n" for u in range(8)))
    (tmp_path / "clicks.csv").write_text("label,colour\n" + "1,red\n0,blue\n" * 20)
    (tmp_path / "run.yaml").write_text("model: bprmf\ndataset: File\nroot: .\npath: log.csv\n")
    return tmp_path


@pytest.mark.parametrize(
    ("what", "arguments", "dataset"),
    [
        ("log.csv", [], "File"),
        ("log.csv", ["label_column=item"], "LabelledFile"),
        ("clicks.csv", [], "LabelledFile"),
        ("clicks.csv", ["item_column=colour", "rating_threshold=1"], "File"),
        ("parts", [], "File"),
        ("run.yaml", ["split=k_fold"], "File"),
        ("Synthetic", ["n_users=20"], "Synthetic"),
        ("nowhere.csv", [], "File"),
    ],
)
def test_the_data_set_follows_from_what_is_named(folder: Path, what: str, arguments: list[str], dataset: str) -> None:
    assert find_data(what, arguments).dataset == dataset


def test_data_is_opened_by_path_by_folder_by_config_and_by_name(folder: Path) -> None:
    assert open_data("log.csv").n_items == 10
    assert open_data("run.yaml", ["split=k_fold", "n_folds=4"]).settings["n_folds"] == 4
    assert open_data("Synthetic", ["n_users=20", "n_items=30", "n_interactions=100"]).n_users == 20
    parts = open_data("parts")
    assert [len(parts.interactions(part)) for part in ("train", "valid", "test")] == [72, 8, 8]
    beside = open_data("parts/train.csv", ["test_path=test.csv", "valid_ratio=0"])
    assert [len(beside.interactions(part)) for part in ("train", "valid", "test")] == [80, 0, 8]


def test_the_data_of_a_config_is_described(folder: Path) -> None:
    assert describe_data("run.yaml").statistics["interactions"] == 80
    assert describe_data("clicks.csv").statistics["labelled"]["rows"] == 40


def test_wrong_settings_and_paths_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="argument 1:1: path"):
        find_data("log.csv", ["path=other.csv"])
    with pytest.raises(ConfigError, match=r"n_userz.*n_users"):
        find_data("Synthetic", ["n_userz=3"])
    with pytest.raises(DataError, match="without one train and one test file"):
        open_data(str(folder))
    assert read_root(["root=there"]) == "there"
    assert read_root([]) == "data"
