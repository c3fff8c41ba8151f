"""The original ids of a run: what is written is read, once for each run, and what is no such file is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recrun.errors import CheckpointError
from recrun.runs.checkpoint import save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.ids import ids_file, kind_of_ids, read_ids, write_ids

KINDS = {
    "text": np.array(["a", "b,\n", "ü", "日本"]),
    "objects": np.array(["x" * 300, "", "c"], dtype=object),
    "numbers": np.array([7, 2**60, 0]),
    "few bits": np.arange(3, dtype=np.int32),
    "none": np.zeros(0, dtype=np.int64),
}
ITEMS = np.array([3, 1])


def _data(users: np.ndarray, items: np.ndarray = ITEMS) -> Any:
    return SimpleNamespace(user_ids=users, item_ids=items, hashes={"split": "abc"})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", {"description": "mf", "dataset": "Synthetic", "id": "a"})


@pytest.mark.parametrize("users", KINDS.values(), ids=KINDS.keys())
def test_what_is_written_is_read(run: RunFolder, users: np.ndarray) -> None:
    write_ids(run, _data(users))
    found = read_ids(run.checkpoint_file("best"))
    assert found is not None
    assert (found.users.tolist(), found.items.tolist(), found.data) == (users.tolist(), [3, 1], "abc")
    assert kind_of_ids(found.users) == ("text" if users.dtype.kind in "UO" else "integers")
    assert found.of("item") is found.items


def test_they_are_written_once_and_belong_to_both_checkpoints(run: RunFolder) -> None:
    write_ids(run, _data(np.arange(2)))
    before = ids_file(run.path).stat()
    write_ids(run, _data(np.arange(9)))
    assert ids_file(run.path).stat() == before
    for which in ("last", "best"):
        found = read_ids(run.checkpoint_file(which))
        assert found is not None
        assert len(found.users) == 2


def test_a_checkpoint_that_was_copied_has_those_that_lie_beside_it(run: RunFolder, tmp_path: Path) -> None:
    write_ids(run, _data(np.arange(2)))
    alone = tmp_path / "alone"
    alone.mkdir()
    assert read_ids(alone / "model.safetensors") is None
    shutil.copy(ids_file(run.path), alone)
    assert read_ids(alone / "model.safetensors") is not None


def test_data_without_ids_has_no_file(run: RunFolder) -> None:
    write_ids(run, SimpleNamespace(hashes={}))
    assert not ids_file(run.path).exists()
    assert read_ids(run.checkpoint_file("best")) is None


GOOD = {"data": None, "users": torch.arange(3), "items": torch.arange(2)}
TEXT = torch.tensor(list(b"abc"), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ({**GOOD, "data": 3}, "its hash of the data is no text"),
        ({**GOOD, "users": None}, "its ids of users cannot be read"),
        ({"data": None, "users": torch.arange(3)}, "its ids of items cannot be read"),
        ({**GOOD, "items": torch.tensor([1, 1])}, "its ids of items cannot be read: expected each once"),
        ({**GOOD, "items": torch.tensor([1.5, 2.0])}, "expected integers or text"),
        ({**GOOD, "items": torch.zeros(2, 2, dtype=torch.int64)}, "expected integers or text"),
        ({**GOOD, "items": {"text": TEXT}}, "its ids of items cannot be read"),
        ({**GOOD, "items": {"text": TEXT, "ends": torch.tensor([2, 1, 3])}}, "do not end where they should"),
        ({**GOOD, "items": {"text": TEXT, "ends": torch.tensor([1, 9])}}, "do not end where they should"),
        ({**GOOD, "items": {"text": TEXT, "ends": torch.tensor([-1, 3])}}, "do not end where they should"),
        ({**GOOD, "items": {"text": TEXT.float(), "ends": torch.tensor([3])}}, "expected bytes"),
        ({**GOOD, "items": {"text": TEXT + 128, "ends": torch.tensor([3])}}, "its ids of items cannot be read"),
    ],
)
def test_what_is_no_such_file_is_refused(run: RunFolder, content: dict[str, Any], cause: str) -> None:
    save_checkpoint(ids_file(run.path), content)
    with pytest.raises(CheckpointError, match=cause):
        read_ids(run.checkpoint_file("best"))


def test_a_cut_file_is_refused(run: RunFolder) -> None:
    write_ids(run, _data(np.arange(20)))
    os.truncate(ids_file(run.path), 100)
    with pytest.raises(CheckpointError, match="damaged"):
        read_ids(run.checkpoint_file("best"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_nothing_else_is_read_in_its_place(run: RunFolder, tmp_path: Path, kind: str) -> None:
    file = ids_file(run.path)
    if kind == "link":
        save_checkpoint(tmp_path / "elsewhere", GOOD)
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        file.mkdir()
    with pytest.raises(CheckpointError, match="link or no regular file"):
        read_ids(run.checkpoint_file("best"))
