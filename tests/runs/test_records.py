"""What may be in a run folder: regular files of a bounded size and folders, and nothing that leads out of it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.errors import CheckpointError
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder, open_run
from recrun.runs.records import MAX_JSON, read_json, refuse_foreign

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")

SETTINGS = {"description": "mf", "dataset": "Synthetic", "lr": 0.001, "layers": [8, 4], "id": "a", "note": "a: b"}
FILES = [
    *("run.json", "config.yaml", "log.txt", "metrics.jsonl", "metrics.json", "ids.safetensors"),
    *(".lock", ".record-lock"),
]
WITHIN = [
    "checkpoints/last/checkpoint.safetensors",
    "checkpoints/best/checkpoint.safetensors",
    "checkpoints/best/.superseded.safetensors",
    "checkpoints/last/.checkpoint.safetensors.x.tmp",
    "summary/SUMMARY.md",
    "summary/validndcg@5.png",
    "summary/events.out.tfevents.1",
    "per_user/valid.parquet",
    "per_user/.test.parquet.x.tmp",
]
FOLDERS = ["checkpoints", "checkpoints/last", "checkpoints/best", "summary", "per_user"]


def _bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


LINKS: dict[str, Callable[[Path], None]] = {
    "to a file": lambda path: path.symlink_to(path.anchor / Path(os.devnull)),
    "to a folder": lambda path: path.symlink_to("/"),
    "to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
    "to itself": lambda path: path.symlink_to(path),
    "to zeros": lambda path: path.symlink_to("/dev/zero"),
}
OTHERS: dict[str, Callable[[Path], None]] = {"fifo": os.mkfifo, "socket": _bind}


def _replace(path: Path, make: Callable[[Path], None]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    make(path)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "runs", SETTINGS)
    made.update_run(status="done")
    made.write_json(made.metrics_file, {"best_epoch": 1})
    made.checkpoint_file("best").write_bytes(b"")
    return made


@pytest.mark.parametrize("place", [*FILES, *WITHIN, *FOLDERS])
@pytest.mark.parametrize("link", LINKS)
def test_a_link_in_any_place_is_refused_by_name(run: RunFolder, place: str, link: str) -> None:
    _replace(run.path / place, LINKS[link])
    with pytest.raises(CheckpointError, match=rf"a is damaged: {place} is a symbolic link"):
        refuse_foreign(run.path)


@pytest.mark.parametrize("place", [*FILES, *WITHIN, *FOLDERS])
@pytest.mark.parametrize("other", OTHERS)
def test_neither_a_fifo_nor_a_socket_is_taken_for_a_file_or_a_folder(run: RunFolder, place: str, other: str) -> None:
    _replace(run.path / place, OTHERS[other])
    kind = "folder" if place in FOLDERS else "regular file"
    with pytest.raises(CheckpointError, match=rf"a is damaged: {place} is not a {kind}"):
        refuse_foreign(run.path)


@pytest.mark.parametrize("place", [*FILES, *(place for place in WITHIN if not place.endswith(".png"))])
def test_a_folder_is_not_taken_for_a_file(run: RunFolder, place: str) -> None:
    _replace(run.path / place, Path.mkdir)
    with pytest.raises(CheckpointError, match=rf"a is damaged: {place} is not a regular file"):
        refuse_foreign(run.path)


@pytest.mark.parametrize("place", ["metrics.jsonl", "log.txt"])
def test_a_run_is_not_trained_if_that_would_change_a_file_elsewhere(run: RunFolder, tmp_path: Path, place: str) -> None:
    (run.path / place).write_text("line\n", encoding="utf-8")
    with run.lock():
        pass
    (tmp_path / "backup").hardlink_to(run.path / place)
    with pytest.raises(CheckpointError, match=rf"its {place} has another name elsewhere"), run.lock():
        pytest.fail("it was locked")
    assert open_run(run.path).path == run.path


@pytest.mark.parametrize("place", ["run.json", "metrics.json", "config.yaml"])
def test_what_is_replaced_leaves_its_other_name_alone(run: RunFolder, tmp_path: Path, place: str) -> None:
    before = (run.path / place).read_bytes()
    (tmp_path / "backup").hardlink_to(run.path / place)
    run.update_run(note="x")
    run.write_json(run.metrics_file, {"best_epoch": 2})
    run.change_settings({**SETTINGS, "lr": 0.5})
    assert (tmp_path / "backup").read_bytes() == before != (run.path / place).read_bytes()


@pytest.mark.parametrize("place", ["run.json", "metrics.json", "config.yaml"])
def test_a_huge_file_is_refused_without_being_read(run: RunFolder, place: str) -> None:
    with open(run.path / place, "wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(CheckpointError, match=r"and at most|is larger than 64 KiB"):
        run.read_settings() if place == "config.yaml" else read_json(run.path / place)


def test_a_whole_run_is_taken_with_what_a_user_puts_beside_its_files(run: RunFolder) -> None:
    (run.path / "summary/mine").mkdir()
    refuse_foreign(run.path)
    assert open_run(run.path).path == run.path


def test_the_run_itself_may_be_reached_through_links(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(tmp_path / "runs", target_is_directory=True)
    (tmp_path / "mine").symlink_to(run.path, target_is_directory=True)
    for path in (tmp_path / "mine", tmp_path / "other/mf/Synthetic/a"):
        assert open_run(path).path == run.path
        assert locate_checkpoint(path)[1] == run.checkpoint_file("best")
    RunFolder(tmp_path / "mine").update_run(note="x")
    with RunFolder(tmp_path / "mine").lock():
        assert run.is_running


@pytest.mark.parametrize("place", ["run.json", "metrics.json", "config.yaml"])
@pytest.mark.parametrize("kind", [*LINKS, *OTHERS, "folder"])
def test_what_is_read_of_a_run_is_never_waited_for(run: RunFolder, place: str, kind: str) -> None:
    _replace(run.path / place, {**LINKS, **OTHERS, "folder": Path.mkdir}[kind])
    with pytest.raises(CheckpointError, match=r"symbolic link|not a regular file|is a folder"):
        run.read_settings() if place == "config.yaml" else read_json(run.path / place)


@pytest.mark.parametrize("place", [".lock", ".record-lock"])
@pytest.mark.parametrize("kind", [*LINKS, *OTHERS])
def test_a_lock_is_no_way_out_of_the_run(run: RunFolder, place: str, kind: str) -> None:
    _replace(run.path / place, {**LINKS, **OTHERS}[kind])
    assert not run.is_running
    with pytest.raises(CheckpointError, match=f"{place} is"), run.lock():
        pytest.fail("it was locked")
    with pytest.raises(CheckpointError, match=f"{place} is"):
        run.update_run(status="failed")


def test_run_json_repeats_the_settings_of_the_config(run: RunFolder) -> None:
    assert run.read_run()["settings"] == run.read_settings()
    assert run.read_settings() == {**SETTINGS, "id": None, "resume": False}
    run.change_settings({**run.read_settings(), "lr": 1e-5})
    assert run.read_run()["settings"] == run.read_settings()
    assert run.read_settings()["lr"] == 1e-5


def test_json_of_a_run_is_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(" " * (MAX_JSON - 2) + "{}", encoding="utf-8")
    assert read_json(path) == {}
    path.write_text(" " * (MAX_JSON - 1) + "{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"cannot read .*metrics\.json: it has 16,777,217 bytes"):
        read_json(path)


def test_empty_folders_that_were_lost_on_the_way_are_made_again(run: RunFolder) -> None:
    shutil.rmtree(run.path / "checkpoints")
    run.summary_folder.rmdir()
    run.clean()
    assert all((run.path / folder).is_dir() for folder in FOLDERS)
