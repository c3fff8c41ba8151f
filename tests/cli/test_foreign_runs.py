"""A run folder of a stranger: whatever stands in place of its files, nothing hangs, grows, or is written elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.cli.main import main
from recrun.errors import CheckpointError
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder, open_run
from recrun.runs.records import MAX_JSON, MAX_LINES

from .conftest import SMALL

FILES = (
    *("run.json", "config.yaml", "metrics.json", "metrics.jsonl", "log.txt", "ids.safetensors"),
    *(".lock", ".record-lock"),
)
INNER = ("checkpoints/last/checkpoint.safetensors", "checkpoints/best/checkpoint.safetensors", "summary/SUMMARY.md")
EVENTS = "summary/events.out.tfevents.1.here"
FOLDERS = ("checkpoints", "checkpoints/last", "checkpoints/best", "summary")
COMMANDS = (
    ("train", "--resume", "{}", "epochs=2"),
    ("eval", "--checkpoint", "{}"),
    ("reproduce", "{}"),
    ("verify", "mine.yaml", "--run", "{}"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests work on copies of it."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.raises(SystemExit) as exit:
        main(["train", "bprmf", *SMALL, "id=a", "--runs", str(runs)])
    assert exit.value.code in (0, None)
    return runs / "bprmf/Synthetic/a"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, in a folder of runs."""
    copy = tmp_path / "runs/bprmf/Synthetic/a"
    shutil.copytree(finished, copy)
    return copy


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside, with what a link could make recrun write to or delete."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("victim", ".run.json.0.tmp", ".checkpoint.safetensors.1.tmp", "checkpoint.safetensors"):
        (folder / name).write_text("mine\n", encoding="utf-8")
    return folder


def _tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(folder.rglob("*"))
    }


def _put(place: Path, kind: str, outside: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    targets = {"file": outside / "victim", "folder": outside, "nothing": outside / "new", "zero": Path("/dev/zero")}
    if kind in targets:
        place.symlink_to(targets[kind])
    elif kind == "itself":
        place.symlink_to(place.name)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "a folder":
        place.mkdir()
    elif kind == "a file":
        place.write_bytes(b"")


CASES = [
    *((place, kind) for place in (*FILES, *INNER, EVENTS) for kind in ("file", "folder", "nothing", "zero", "itself")),
    *((place, kind) for place in (*FILES, *INNER, EVENTS) for kind in ("fifo", "a folder")),
    *((place, kind) for place in FOLDERS for kind in ("file", "folder", "nothing", "itself", "fifo", "a file")),
]


@pytest.mark.parametrize(("place", "kind"), CASES)
def test_a_folder_with_anything_else_in_place_of_a_file_is_refused_and_nothing_outside_changes(
    run: Path, outside: Path, place: str, kind: str
) -> None:
    _put(run / place, kind, outside)
    before, inside = _tree(outside), _tree(run)
    is_link = kind in ("file", "folder", "nothing", "zero", "itself")
    wanted = "folder" if place in FOLDERS else "regular file"
    message = f"{place} is a symbolic link" if is_link else f"{place} is not a {wanted}"
    for use in (
        open_run,
        locate_checkpoint,
        lambda path: RunFolder(path).update_run(status="done"),
        lambda path: RunFolder(path).lock().__enter__(),
    ):
        with pytest.raises(CheckpointError, match=message):
            use(run)
    assert _tree(outside) == before
    assert _tree(run) == inside


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        *((place, "fifo") for place in (*FILES, *INNER, EVENTS)),
        *((place, "zero") for place in ("run.json", "config.yaml", "metrics.json", "summary/SUMMARY.md")),
        *((place, "folder") for place in FOLDERS),
    ],
)
def test_a_list_marks_such_a_folder_as_damaged(
    recrun: Callable[..., Any], run: Path, outside: Path, place: str, kind: str
) -> None:
    RunFolder.create(run.parents[2], {"model": "bprmf", "dataset": "Synthetic", "id": "whole"})
    _put(run / place, kind, outside)
    outcome = recrun("list", "runs")
    assert outcome.code == 0
    assert outcome.out.count("damaged") == 1
    assert outcome.out.count("killed") == 1
    assert f"warning: the run runs/bprmf/Synthetic/a is damaged: {place} is " in outcome.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("place", "kind"), [("log.txt", "file"), ("summary", "folder"), ("config.yaml", "fifo"), ("metrics.json", "zero")]
)
def test_every_command_refuses_it_in_one_line(
    recrun: Callable[..., Any], run: Path, outside: Path, command: tuple[str, ...], place: str, kind: str
) -> None:
    mine = run.joinpath("config.yaml").read_text(encoding="utf-8")
    expected = "expected:\n  - {metric: ndcg@5, split: valid, value: 0.1, tolerance: 1.0}\n"
    Path("mine.yaml").write_text(mine + expected, encoding="utf-8")
    _put(run / place, kind, outside)
    before, inside = _tree(outside), _tree(run)
    outcome = recrun(*(part.format(run) for part in command))
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if not line.startswith("config: ")]
    assert len(errors) == 1, outcome.err
    assert f"{place} is a symbolic link" in errors[0] or f"{place} is not a regular file" in errors[0]
    assert (_tree(outside), _tree(run)) == (before, inside)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("run.json", MAX_JSON + 1),
        ("config.yaml", 10 << 30),
        ("metrics.json", 10 << 30),
        ("metrics.jsonl", MAX_LINES + 1),
    ],
)
def test_a_file_of_gigabytes_is_not_read(recrun: Callable[..., Any], run: Path, name: str, size: int) -> None:
    os.truncate(run / name, size)
    outcome = recrun("list", "runs")
    assert (outcome.code, outcome.out.count("damaged")) == (0, 1)
    assert name in outcome.err
    outcome = recrun("reproduce", str(run))
    assert outcome.code == 2
    assert name in outcome.err


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("run.json", '{"schema_version": 1, "status": NaN}', "it holds NaN, and JSON has finite numbers only"),
        ("run.json", '{"schema_version": 1, "status": "done", "x": 1e999}', "it holds 1e999"),
        ("run.json", '{"schema_version": 1, "status": 3}', "status is not a short text"),
        ("run.json", '{"schema_version": 1, "status": "done", "which4best": []}', "which4best is not a short text"),
        ("metrics.json", '{"best_epoch": "\\u001b[31m"}', "best_epoch is not an integer"),
        ("metrics.json", '{"valid": [1]}', "valid is not an object"),
        ("metrics.json", '{"valid": {"ndcg@5": Infinity}}', "it holds Infinity"),
        ("metrics.json", "[" * 100_000, "it is not JSON"),
    ],
)
def test_values_that_recrun_never_writes_are_damage(
    recrun: Callable[..., Any], run: Path, name: str, content: str, cause: str
) -> None:
    (run / name).write_text(content, encoding="utf-8")
    outcome = recrun("list", "runs")
    assert (outcome.code, outcome.out.count("damaged")) == (0, 1)
    assert cause in outcome.err


def test_the_folder_of_runs_and_those_above_a_run_may_be_links(
    recrun: Callable[..., Any], run: Path, tmp_path: Path
) -> None:
    (tmp_path / "linked").symlink_to(tmp_path / "runs", target_is_directory=True)
    (tmp_path / "one").symlink_to(run, target_is_directory=True)
    assert recrun("list", "runs", "--runs", "linked").out.count("done") == 1
    assert recrun("eval", "--checkpoint", "one", "--split", "valid", "-q").code == 0
    assert recrun("train", "--resume", "linked/bprmf/Synthetic/a", "epochs=2").code == 0
    assert recrun("train", "bprmf", *SMALL, "id=b", "--runs", "linked").code == 0
    assert (tmp_path / "runs/bprmf/Synthetic/b/metrics.json").exists()


@pytest.mark.parametrize("content", [b"\xff", b"x" * 20_000])
def test_a_file_called_latest_that_names_no_run(
    recrun: Callable[..., Any], run: Path, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "runs/latest").write_bytes(content)
    outcome = recrun("reproduce", "runs/latest")
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert "latest" in outcome.err


def test_a_run_without_its_config_is_damaged(recrun: Callable[..., Any], run: Path) -> None:
    (run / "config.yaml").unlink()
    outcome = recrun("train", "--resume", str(run))
    assert (outcome.code, outcome.err) == (2, f"error: the run {run} is damaged: config.yaml is missing\n")
