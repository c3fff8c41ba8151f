"""What recrun makes in the folder of a run or a sweep, and what is somebody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.runs.contents import contents_of, is_set_aside, remove_own, set_aside
from recrun.runs.folder import RunFolder
from recrun.runs.scan import find_folders

SETTINGS = {"description": "mf", "dataset": "Synthetic", "lr": 0.001, "id": "a"}
KILLED_WHILE_REMOVING = """
import os, signal, sys
from pathlib import Path
from recrun.runs import contents
before, calls = os.unlink, []
def unlink(path):
    before(path)
    calls.append(path)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
os.unlink = unlink
contents.remove_own(contents.set_aside(Path(sys.argv[1])))
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "runs", SETTINGS)
    for file in (
        "checkpoints/last/checkpoint.safetensors",
        "checkpoints/best/.superseded.safetensors",
        "checkpoints/best/.checkpoint.safetensors.0a_b1c2d.tmp",
        "per_user/test.parquet",
        "ids.safetensors",
        ".ids.safetensors.0a_b1c2d.tmp",
        "track/mlflow.json",
        "track/.mlflow.lock",
        "summary/SUMMARY.md",
        "summary/curves.svg",
        "summary/validndcg@20.png",
        "summary/events.out.tfevents.1.vm.1.1.test",
    ):
        (run.path / file).parent.mkdir(parents=True, exist_ok=True)
        (run.path / file).write_text("four", encoding="utf-8")
    with run.lock():
        run.update_run(status="done")
    return run


def test_everything_that_recrun_writes_is_its_own(run: RunFolder) -> None:
    found = contents_of(run.path, "run")
    assert found.foreign == ()
    assert len(found.files) == sum(path.is_file() for path in run.path.rglob("*"))
    assert found.size == sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "name",
    [
        "notes.md",
        "summary/notes.md",
        "summary/test-my-analysis.png",
        "summary/valid plot.png",
        "checkpoints/mine/x",
        "summary/sub/curves.png",
        "checkpoints/best/copy.safetensors",
    ],
)
def test_anything_else_is_foreign_and_is_never_removed(run: RunFolder, name: str) -> None:
    mine = run.path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine", encoding="utf-8")
    foreign = contents_of(run.path, "run").foreign
    assert len(foreign) == 1
    assert name.startswith(foreign[0])
    hidden = set_aside(run.path)
    (entry,) = [each for each in os.scandir(hidden.parent) if each.name == hidden.name]
    assert not is_set_aside(entry)
    with pytest.raises(OSError, match="not empty"):
        remove_own(hidden)
    assert (hidden / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["log.txt", "checkpoints/best/checkpoint.safetensors", "summary", "checkpoints"])
def test_a_link_is_foreign_whatever_its_name(run: RunFolder, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/curves.png").write_text("mine", encoding="utf-8")
    path = run.path / name
    if path.is_dir():
        path.rename(tmp_path / "away")
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "mine", target_is_directory=True)
    assert contents_of(run.path, "run").foreign == (name,)
    with pytest.raises(OSError, match="not empty"):
        remove_own(run.path)
    assert (tmp_path / "mine/curves.png").read_text(encoding="utf-8") == "mine"


def test_what_a_killed_removal_leaves_is_no_run_and_goes_with_the_next_run(run: RunFolder, tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED_WHILE_REMOVING, str(run.path)])
    assert process.returncode == -signal.SIGKILL
    (left,) = run.path.parent.iterdir()
    assert left.name.startswith(".removing-")
    assert find_folders(tmp_path / "runs") == []
    RunFolder.create(tmp_path / "runs", {**SETTINGS, "dataset": "Other"})
    assert not left.exists()


def test_two_processes_may_remove_the_same_folder(run: RunFolder) -> None:
    hidden = set_aside(run.path)
    remove_own(hidden)
    remove_own(hidden)
    assert list(run.path.parent.iterdir()) == []
