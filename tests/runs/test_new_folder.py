"""Folders of new runs: there as a whole or not at all, whatever kills the process that makes them; and `latest`."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.files import hold
from recrun.runs.folder import RunFolder
from recrun.runs.new_folder import have_latest_follow

SETTINGS = {"description": "mf", "dataset": "Synthetic", "lr": 0.001, "id": "a"}
KILLED_WHILE_BUILDING = """
import os, signal, sys
from recrun.runs.folder import RunFolder
RunFolder.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
RunFolder.create(sys.argv[1], {"description": sys.argv[2], "dataset": "Synthetic", "id": "a"})
"""
KILLED_WHILE_LINKING = """
import os, signal, sys
from pathlib import Path
from recrun.runs.new_folder import have_latest_follow
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
have_latest_follow(Path(sys.argv[1], "mf/Synthetic/a"), is_new=True)
"""


def _killed(script: str, *arguments: str) -> None:
    assert subprocess.run([sys.executable, "-c", script, *arguments]).returncode == -signal.SIGKILL


def _left(runs: Path) -> list[str]:
    return sorted(path.parent.name for path in runs.rglob(".building-*"))


def test_what_a_killed_process_was_making_goes_at_the_next_start(tmp_path: Path) -> None:
    _killed(KILLED_WHILE_BUILDING, str(tmp_path), "mf")
    _killed(KILLED_WHILE_LINKING, str(tmp_path))
    assert _left(tmp_path) == sorted(["Synthetic", tmp_path.name])
    _killed(KILLED_WHILE_BUILDING, str(tmp_path), "other")
    assert [path.parts[-3] for path in tmp_path.rglob(".building-*")] == ["other"]
    run = RunFolder.create(tmp_path, SETTINGS)
    assert _left(tmp_path) == []
    assert run.read_run()["status"] == "running"


def test_what_another_process_is_making_now_is_left_alone(tmp_path: Path) -> None:
    building = tmp_path / "other/Synthetic/.building-0123abcd"
    building.mkdir(parents=True)
    with hold(building.parent, patience=0.0):
        RunFolder.create(tmp_path, SETTINGS)
        assert building.is_dir()
    RunFolder.create(tmp_path, {**SETTINGS, "id": "b"})
    assert not building.exists()


@pytest.mark.parametrize(
    "place",
    [
        ".building-notes.txt",
        ".building-0123abcd",
        "src/.building-0123abcd",
        "src/app/.building-assets/file",
        "src/app/.building-0123abcd/file",
        "cache/data/.building-0123abcd/00.npy",
    ],
)
def test_what_is_the_users_own_under_such_a_name_is_left_alone(tmp_path: Path, place: str) -> None:
    mine = tmp_path / place
    mine.parent.mkdir(parents=True, exist_ok=True)
    (mine.parent / "config.yaml").write_text("", encoding="utf-8")
    mine.write_text("mine", encoding="utf-8")
    RunFolder.create(tmp_path, SETTINGS)
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("place", ["mf/Synthetic/.building-0123abcd", ".building-latest-0123abcd"])
def test_a_link_under_such_a_name_never_costs_what_it_points_to(tmp_path: Path, place: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/run.json").write_text("mine", encoding="utf-8")
    link = tmp_path / "runs" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine", target_is_directory=True)
    RunFolder.create(tmp_path / "runs", SETTINGS)
    assert os.path.lexists(link) == ("latest" not in place)
    assert (tmp_path / "mine/run.json").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("path", ["/x", "/x/y"])
def test_a_run_that_lies_at_the_top_of_the_file_system_has_no_latest(path: str) -> None:
    assert have_latest_follow(Path(path), is_new=False) is None


def test_the_settings_are_in_run_json_as_in_the_config(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, {**SETTINGS, "rate": 1e-8, "layers": [8, 4], "none": None})
    assert run.read_run()["settings"] == run.read_settings()
    before = run.read_run()["config_sha256"]
    run.change_settings({**run.read_settings(), "epochs": 7})
    assert run.read_run()["settings"] == run.read_settings()
    assert run.read_run()["settings"]["epochs"] == 7
    assert run.read_run()["config_sha256"] != before


@pytest.mark.parametrize(
    ("target", "is_of_runs"), [("mf/Synthetic/a", True), ("release-2", False), ("../a/b", False), ("/a/b", False)]
)
def test_only_a_latest_that_names_a_run_is_recruns(tmp_path: Path, target: str, is_of_runs: bool) -> None:
    path = tmp_path / "lightgcn" / "Synthetic" / "copied"
    path.mkdir(parents=True)
    assert have_latest_follow(path, is_new=False) is None
    assert not os.path.lexists(tmp_path / "latest"), "there was none, so none is made"
    (tmp_path / "latest").symlink_to(target, target_is_directory=True)
    assert have_latest_follow(path, is_new=False) is None
    assert os.readlink(tmp_path / "latest") == ("lightgcn/Synthetic/copied" if is_of_runs else target)


def test_latest_follows_and_a_folder_in_its_place_stays(tmp_path: Path) -> None:
    for id in ("a", "b"):
        run = RunFolder.create(tmp_path, {**SETTINGS, "id": id})
        assert have_latest_follow(run.path, is_new=True) is None
        assert (tmp_path / "latest").resolve() == run.path.resolve()
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    message = have_latest_follow(run.path, is_new=True)
    assert message is not None
    assert message.startswith(f"{tmp_path / 'latest'} does not point at this run: ")
    assert _left(tmp_path) == []


def test_a_file_system_that_cannot_lock_folders_takes_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    left = tmp_path / "mf/Synthetic/.building-0123abcd"
    left.mkdir(parents=True)
    monkeypatch.setattr(fcntl, "flock", refuse)
    run = RunFolder.create(tmp_path, {**SETTINGS, "id": "a"})
    assert have_latest_follow(run.path, is_new=True) is None
    assert (tmp_path / "latest").resolve() == run.path.resolve()
    assert left.exists(), "it may be one that another process makes now"
