"""Files and folders that the user may not read: one line that names them, exit code 2, and no crash."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SMALL, Outcome

_VERSION = 0x20080522
_OVERRIDE = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: to read and write whatever the modes of files say."""


@contextmanager
def _as_others() -> Iterator[None]:
    """Obey the modes of files, as everybody but root does."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    header, sets = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    kept = sets[0]
    sets[0] = kept & ~_OVERRIDE
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = kept
        assert libc.capset(header, sets) == 0


@contextmanager
def _mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        with _as_others():
            yield
    finally:
        path.chmod(before)


pytestmark = pytest.mark.skipif(os.geteuid() == 0 and sys.platform != "linux", reason="root may read everything here")


@pytest.fixture
def run(recrun: Callable[..., Outcome], tmp_path: Path) -> Path:
    assert recrun("train", "bprmf", *SMALL, "id=one", "--no-plots").code == 0
    return tmp_path / "runs/bprmf/Synthetic/one"


def _refused(outcome: Outcome, code: int = 2) -> str:
    assert outcome.code == code, outcome.err
    lines = [line for line in outcome.err.splitlines() if line]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize("place", ["", "checkpoints", "checkpoints/best", "checkpoints/last"])
def test_a_folder_of_a_run_that_cannot_be_entered(
    recrun: Callable[..., Outcome], run: Path, place: str, mode: int
) -> None:
    with _mode(run / place, mode):
        for command in (["eval", "--checkpoint"], ["reproduce"], ["train", "--resume"]):
            assert "Permission denied" in _refused(recrun(*command, str(run)))
        listed = recrun("list", "runs")
        assert (listed.code, listed.out.count("damaged")) == (0, 1)
        assert listed.err.count("Permission denied") == 1
    assert recrun("eval", "--checkpoint", str(run)).code == 0


@pytest.mark.parametrize(
    "place", ["run.json", "config.yaml", "metrics.jsonl", "checkpoints/last/checkpoint.safetensors"]
)
def test_a_file_of_a_run_that_cannot_be_read(recrun: Callable[..., Outcome], run: Path, place: str) -> None:
    with _mode(run / place, 0o000):
        outcome = recrun("train", "--resume", str(run), "epochs=2")
        assert outcome.code == 2
        assert "Permission denied" in outcome.err
        assert "Traceback" not in outcome.err
        assert recrun("list", "runs").code == 0
    assert recrun("train", "--resume", str(run), "epochs=2").code == 0


@pytest.mark.parametrize("mode", [0o000, 0o400])
@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "describe", "locked/log.csv"],
        ["data", "describe", "locked"],
        ["data", "fetch", "MovieLens100K", "root=locked"],
        ["train", "bprmf", "dataset=MovieLens100K", "root=locked"],
        ["train", "bprmf", "dataset=File", "path=log.csv", "root=locked"],
        ["train", "bprmf", "dataset=File", "train_path=log.csv", "test_path=other.csv", "root=locked"],
        ["train", "deepfm", "dataset=LabelledFile", "path=log.csv", "sparse_columns=[x]", "root=locked"],
        ["train", "locked/bprmf.yaml"],
        ["train", "bprmf", "model=./locked/own.py:Own"],
        ["check", "./locked/own.py:Own"],
        ["eval", "--checkpoint", "locked/runs/latest"],
        ["reproduce", "locked/runs/bprmf/Synthetic/one"],
        ["sweep", "bprmf", "lr=1e-3,1e-4", *SMALL, "--runs", "locked/runs"],
        ["train", "bprmf", *SMALL, "--runs", "locked/runs"],
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_entered(
    recrun: Callable[..., Outcome], run: Path, tmp_path: Path, arguments: list[str], mode: int
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "log.csv").write_text("user,item\n1,2\n1,3\n2,3\n", encoding="utf-8")
    (locked / "bprmf.yaml").write_text("model: bprmf\ndataset: Synthetic\n", encoding="utf-8")
    shutil.move(tmp_path / "runs", locked / "runs")
    with _mode(locked, mode):
        outcome = recrun(*arguments)
    assert outcome.code == 2, outcome.err
    (line,) = [line for line in outcome.err.splitlines() if not line.startswith("config: ")]
    assert line.startswith("error: ")
    assert line.count("Permission denied") == 1


@pytest.mark.parametrize("place", ["", "bprmf", "bprmf/Synthetic"])
def test_runs_in_a_folder_that_cannot_be_read_are_not_left_out_in_silence(
    recrun: Callable[..., Outcome], run: Path, tmp_path: Path, place: str
) -> None:
    assert recrun("train", "popularity", *SMALL[:3], "verbose=0", "id=two").code == 0
    with _mode(tmp_path / "runs" / place, 0o000):
        outcome = recrun("list", "runs")
    if not place:
        assert (outcome.code, outcome.out) == (2, "")
    else:
        assert (outcome.code, outcome.out.count("damaged"), outcome.out.count("done")) == (0, 1, 1)
        assert f"runs/{place}" in outcome.err
    assert outcome.err.count("Permission denied") + outcome.err.count("is not readable") == 1
    assert run.exists()


def test_a_link_to_itself_hides_no_run(recrun: Callable[..., Outcome], run: Path, tmp_path: Path) -> None:
    for place in ("runs", "runs/bprmf", "runs/bprmf/Synthetic"):
        (tmp_path / place / "loop").symlink_to("loop")
    outcome = recrun("list", "runs", "--json")
    assert (outcome.code, outcome.out.count('"done"'), outcome.err) == (0, 1, "")
    assert recrun("train", "bprmf", *SMALL, "id=two", "resume=true").code == 0
    assert run.exists()


def test_a_folder_that_cannot_be_written(recrun: Callable[..., Any], tmp_path: Path) -> None:
    runs = tmp_path / "locked"
    runs.mkdir()
    with _mode(runs, 0o500):
        assert f"cannot create a run folder in {runs}" in _refused(
            recrun("train", "bprmf", *SMALL, "--runs", str(runs))
        )


@pytest.mark.parametrize("place", [".", "summary", ".."])
def test_a_run_whose_folder_cannot_be_written_is_not_removed(
    recrun: Callable[..., Outcome], run: Path, place: str
) -> None:
    shutil.copytree(run, run.parent.parent / "Other" / "two")
    before = sorted(run.rglob("*"))
    with _mode(run / place, 0o555):
        outcome = recrun("rm", str(run), "runs/bprmf/Other/two", "--yes")
    folder = os.path.normpath(os.path.join("runs/bprmf/Synthetic/one", place))
    assert (outcome.code, outcome.out) == (2, "")
    assert f"cannot remove the run runs/bprmf/Synthetic/one: {folder} cannot be written" in outcome.err
    assert sorted(run.rglob("*")) == before
    assert (run.parent.parent / "Other" / "two" / "run.json").is_file()
