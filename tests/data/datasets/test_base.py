"""Finding, caching and serving a data set."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from recrun.data import cache
from recrun.data.datasets import Gowalla_m1
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.integer_lines import read_lightgcn
from recrun.data.formats.table import Layout, Table
from recrun.data.tags import ID, ITEM, USER
from recrun.errors import DataError
from recrun.registry import DATASETS
from recrun.types import Fraction

TRAIN = "\n".join(f"{u} " + " ".join(str((u + i) % 12) for i in range(8)) for u in range(10)) + "\n"
TEST = "\n".join(f"{u} {(u + 8) % 12} {(u + 9) % 12}" for u in range(9)) + "\n"


class Small(RecDataSet):
    """Ten users, twelve items."""

    folders = ("small",)
    n_read = 0

    def __init__(self, root: str | Path = ".", *, valid_ratio: Fraction = 0.25, colour: str = "red") -> None:
        super().__init__(root, Preparation(valid_ratio=valid_ratio))

    def sources(self) -> Sequence[SourceFile]:
        checksum = "sha256:" + hashlib.sha256(TRAIN.encode()).hexdigest()
        return [
            SourceFile("train.txt", "https://example.org/train.txt", checksum),
            SourceFile("test.txt", "https://example.org/page"),
            SourceFile("more.txt", optional=True),
        ]

    def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
        type(self).n_read += 1
        return {part: read_lightgcn(files[f"{part}.txt"], Layout()) for part in ("train", "test")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the data set in it, and a cache of its own."""
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Small, "n_read", 0)
    write(tmp_path / "root" / "small")
    return tmp_path / "root"


def write(folder: Path, train: str = TRAIN, test: str = TEST, ending: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("train.txt", train), ("test.txt", test)):
        content = gzip.compress(text.encode()) if ending == ".gz" else text.encode()
        (folder / f"{name}{ending}").write_bytes(content)


def same(first: RecDataSet, second: RecDataSet) -> bool:
    parts = [(first.interactions(part), second.interactions(part)) for part in ("train", "valid", "test")]
    return first.hashes["split"] == second.hashes["split"] and all(
        np.array_equal(a.users, b.users) and np.array_equal(a.items, b.items) for a, b in parts
    )


def test_the_parts_sizes_and_ids_are_served(root: Path) -> None:
    data = Small(root)
    assert (data.n_users, data.n_items) == (10, 12)
    assert [len(data.interactions(part)) for part in ("train", "valid", "test")] == [60, 20, 18]
    assert data.user_ids.tolist() == list(range(10))
    assert data.fields[USER, ID].count == 10
    assert data.fields[ITEM, ID].name == "item"
    assert repr(data) == "Small(10 users, 12 items, 60 train, 20 valid, 18 test)"
    assert data.describe()["density"] == pytest.approx(98 / 120)
    assert data.training_data().csr().nnz == 60
    assert data.base is data


def test_ranking_leaves_out_train_for_valid_and_train_and_valid_for_test(root: Path) -> None:
    data = Small(root)
    for user in range(10):
        train, valid = (set(data.csr(part).row(user).tolist()) for part in ("train", "valid"))
        assert set(data.seen("valid").row(user).tolist()) == train
        assert set(data.seen("test").row(user).tolist()) == train | valid
        assert not data.seen("train").row(user).size
    assert data.csr("train") is data.csr("train")


def test_an_unknown_part_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="unknown mode 'tset'; did you mean 'test'"):
        Small(root).interactions("tset")  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["Small", "small", "."])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_are_found_under_each_usual_name_plain_or_compressed(tmp_path: Path, folder: str, ending: str) -> None:
    write(tmp_path / folder, ending=ending)
    assert len(Small(tmp_path).interactions("train")) == 60


def test_missing_files_are_reported_with_every_path_the_source_and_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "test.txt").write_text(TEST)
    with pytest.raises(DataError) as caught:
        Small(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"Small is not at root={tmp_path}"
    assert [line.strip() for line in lines[2:7]] == [
        *(str(tmp_path / "Small" / name) for name in ("train.txt", "test.txt")),
        str(tmp_path / "small" / "train.txt"),
        *(str(tmp_path / name) for name in ("train.txt", "test.txt")),
    ]
    assert f"curl -L --fail --create-dirs -o {tmp_path}/small/train.txt https://example.org/train.txt" in str(
        caught.value
    )
    assert "sha256:" + hashlib.sha256(TRAIN.encode()).hexdigest() in str(caught.value)
    with pytest.raises(DataError, match="there is no such folder"):
        Small(tmp_path / "nowhere")


def test_train_and_test_never_come_from_two_folders(tmp_path: Path) -> None:
    write(tmp_path / "Small")
    write(tmp_path / "small", train="0 1 2\n", test="0 3\n")
    (tmp_path / "Small" / "train.txt").unlink()
    assert len(Small(tmp_path, valid_ratio=0).interactions("train")) == 2


def test_the_second_time_comes_from_the_cache(root: Path) -> None:
    first, second = Small(root), Small(root)
    assert Small.n_read == 1
    assert same(first, second)
    assert first.hashes == second.hashes
    assert first.notes == second.notes
    assert set(first.hashes) == {"train.txt", "test.txt", "split"}
    assert first.hashes["train.txt"] == hashlib.sha256(TRAIN.encode()).hexdigest()


def test_a_changed_file_is_noticed_even_when_time_and_size_are_the_same(root: Path) -> None:
    path = root / "small" / "train.txt"
    before = path.stat()
    Small(root)
    path.write_text(TRAIN.replace("0 0 1 2", "0 0 2 1"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    data = Small(root)
    assert Small.n_read == 2
    assert "is not the published file of Small" in data.notes[0]
    assert "is not the published file of Small" in Small(root).notes[0]


def test_a_file_that_changes_while_it_is_read_is_refused_and_not_cached(root: Path) -> None:
    class Slow(Small):
        def read(self, files: Mapping[str, Path]) -> Mapping[str, Table]:
            tables = super().read(files)
            with files["train.txt"].open("a") as file:
                file.write("10 1\n")
            return tables

    with pytest.raises(DataError, match=r"train\.txt changed while being read; start again"):
        Slow(root)
    assert not (cache.cache_folder() / "data").exists()


def test_every_setting_is_part_of_the_key(root: Path) -> None:
    assert Small(root).settings == {"valid_ratio": 0.25, "colour": "red"}
    Small(root, colour="blue")
    Small(root, valid_ratio=0.5)
    assert Small.n_read == 3


def test_plain_and_compressed_files_give_the_same_data(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", ending=".gz")
    assert Small(root).hashes == Small(tmp_path / "other").hashes


def test_a_damaged_cache_is_built_anew_with_a_note(root: Path) -> None:
    first = Small(root)
    entry = next((cache.cache_folder() / "data").iterdir())
    for array in entry.glob("*.npy"):
        values = np.load(array)
        if values.size > 20:
            np.save(array, np.roll(values, 1))
    second = Small(root)
    assert same(first, second)
    assert any("was damaged and is built anew" in note for note in second.notes)
    assert not Small(root).notes


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"hashes": {}, "shipped": {}, "notes": []},
        {"hashes": 7, "shipped": 7, "notes": 7},
        {"shipped": {"users": "1", "items": 2, "interactions": 3}},
        {"shipped": {"users": 1, "items": 2}},
        {"notes": [1]},
        {"notes": None},
        {"hashes": {"split": 7}},
    ],
)
@pytest.mark.parametrize("lacking", ["", "train/users", "test/items", "user_ids"])
def test_an_incomplete_description_of_a_cache_entry_is_damage(root: Path, facts: dict, lacking: str) -> None:
    first = Small(root)
    (file,) = (cache.cache_folder() / "data").glob("*/entry.json")
    entry = json.loads(file.read_text(encoding="utf-8"))
    known = {} if len(facts) in (0, 3) else entry["facts"]
    entry |= {"facts": {**known, **facts}, "arrays": {k: v for k, v in entry["arrays"].items() if k != lacking}}
    file.write_text(json.dumps(entry), encoding="utf-8")
    second = Small(root)
    assert same(first, second)
    assert any("was damaged and is built anew" in note for note in second.notes)


def test_a_cache_that_cannot_be_written_is_only_noted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path / "file"))
    data = Small(root)
    assert len(data.interactions("train")) == 60
    assert "the data is not cached" in data.notes[-1]


def test_two_processes_that_build_the_cache_at_once_both_succeed(root: Path) -> None:
    script = (
        "import sys; from recrun.data.datasets import Gowalla_m1; import recrun.data.datasets.base; input();"
        "print(Gowalla_m1(sys.argv[1]).hashes['split'])"
    )
    folder = root / "small"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    hashes = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert hashes == {Gowalla_m1(folder).hashes["split"]}
    assert [process.returncode for process in processes] == [0, 0]
    assert [path.name[:8] for path in (cache.cache_folder() / "data").iterdir()] == ["Gowalla_"]


def test_another_split_seed_holds_out_others_and_leaves_test_alone(tmp_path: Path) -> None:
    write(tmp_path)
    first, second = Gowalla_m1(tmp_path), Gowalla_m1(tmp_path, split_seed=1)
    assert first.hashes["split"] != second.hashes["split"]
    assert np.array_equal(first.interactions("test").items, second.interactions("test").items)
    assert same(first, Gowalla_m1(tmp_path))


def test_counts_other_than_the_published_ones_are_noted(tmp_path: Path) -> None:
    write(tmp_path)
    notes = Gowalla_m1(tmp_path).notes
    assert "Gowalla_m1 is not as published: 10 users instead of 29,858, 12 items instead of 40,981, " in notes[-1]
    assert sum("is not the published file" in note for note in notes) == 2


def test_lists_beside_the_files_give_the_original_ids(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "user_list.txt").write_text("org_id remap_id\n" + "".join(f"u{9 - u} {9 - u}\n" for u in range(10)))
    (tmp_path / "item_list.txt").write_text("org_id remap_id\n" + "".join(f"{100 + i} {i}\n" for i in range(12)))
    data = Gowalla_m1(tmp_path)
    assert data.user_ids.tolist() == [f"u{u}" for u in range(10)]
    assert data.item_ids.tolist() == list(range(100, 112))
    (tmp_path / "item_list.txt").write_text("org_id remap_id\n100 0\n")
    with pytest.raises(DataError, match=r"item_list\.txt: 11 ids of the interactions are not listed, the first is 1"):
        Gowalla_m1(tmp_path)


def test_a_data_set_can_be_asked_for_by_name() -> None:
    import recrun.data.datasets as datasets
    from recrun.data.datasets.lightgcn import Gowalla_m1 as direct

    assert datasets.Gowalla_m1 is direct
    assert "Synthetic" in dir(datasets)
    with pytest.raises(AttributeError, match="has no data set 'Gowala'"):
        datasets.Gowala  # noqa: B018


def test_the_class_in_the_documentation_works_from_a_file_of_its_own(tmp_path: Path, repository: Path) -> None:
    text = (repository / "docs" / "data.md").read_text(encoding="utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class Visits" in block)
    (tmp_path / "visits.py").write_text(code)
    (tmp_path / "visits").mkdir()
    people, places = np.divmod(np.arange(200), 20)
    np.save(tmp_path / "visits" / "visits.npy", np.array([people + 1, places, places % 3]))
    name = f"{tmp_path / 'visits.py'}:Visits"
    names = [parameter.name for parameter in DATASETS.describe(name).parameters]
    assert names[0] == "least"
    assert {"split", "valid_ratio", "split_seed"} < set(names)
    data = DATASETS.get(name)(tmp_path, least=2)
    assert sum(len(data.interactions(part)) for part in ("train", "valid", "test")) == 10 * 6
    assert data.user_ids.tolist() == list(range(1, 11))
