"""Trials are of the same data: those whose files have changed are found, and trained again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from recrun.config.config import Config
from recrun.files import sha256_file
from recrun.runs.folder import RunFolder
from recrun.sweep.planning.study import Trial
from recrun.sweep.row import DONE, FAILED, Row
from recrun.sweep.same_data import DataFiles, mixed_files

ROWS = [(user, item) for user in range(12) for item in range(8) if (user + item) % 3]
SETTINGS = {"description": "mf", "dataset": "File", "path": "log.csv", "valid_ratio": 0.1, "test_ratio": 0.2}


def _write(folder: Path, rows: list[tuple[int, int]]) -> None:
    lines = ["user,item", *(f"{user},{item}" for user, item in rows)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _run(folder: Path, id: str, data: dict[str, str]) -> RunFolder:
    run = RunFolder.create(folder / "runs", {**SETTINGS, "root": str(folder), "id": id})
    run.update_run(data=data)
    return run


def test_a_run_whose_file_has_other_content_now_is_found(tmp_path: Path) -> None:
    _write(tmp_path, ROWS)
    config = {**SETTINGS, "root": str(tmp_path)}
    run = _run(tmp_path, "a", {"log.csv": sha256_file(tmp_path / "log.csv"), "split": "other settings"})
    assert DataFiles().changes(run, config) == []
    _write(tmp_path, ROWS[1:])
    (change,) = DataFiles().changes(run, config)
    assert change.startswith("the file log.csv has changed (SHA-256 ")


def test_the_file_of_candidates_counts_among_the_files_of_a_run(tmp_path: Path) -> None:
    _write(tmp_path, ROWS)
    (tmp_path / "lists.csv").write_text("user,item\n0,1\n", encoding="utf-8")
    config = {**SETTINGS, "root": str(tmp_path), "candidates_path": "lists.csv"}
    files = {name: sha256_file(tmp_path / name) for name in ("log.csv", "lists.csv")}
    run = _run(tmp_path, "a", files)
    assert DataFiles().changes(run, config) == []
    (tmp_path / "lists.csv").write_text("user,item\n0,2\n", encoding="utf-8")
    (change,) = DataFiles().changes(run, config)
    assert change.startswith("the file lists.csv has changed (SHA-256 ")


def test_a_run_without_files_or_whose_files_are_gone_is_not_said_to_have_changed(tmp_path: Path) -> None:
    config = {**SETTINGS, "root": str(tmp_path)}
    assert DataFiles().changes(_run(tmp_path, "a", {"split": "1"}), config) == []
    assert DataFiles().changes(_run(tmp_path, "b", {"log.csv": "1", "split": "1"}), config) == []


@pytest.mark.parametrize(
    ("other", "expected"),
    [({"log.csv": "2"}, ["log.csv"]), ({"log.csv": "1"}, []), ({"new.csv": "2"}, []), ({}, [])],
)
def test_files_that_differ_between_finished_trials_are_named(
    tmp_path: Path, other: dict[str, str], expected: list[str]
) -> None:
    config = Config({**SETTINGS, "root": "."})
    digests = [{"log.csv": "1", "split": "1"}, {**other, "split": "2"}, {"log.csv": "3"}]
    rows = [
        Row(Trial(index, str(index), {}, (), config), str(index), _run(tmp_path, str(index), data))
        for index, data in enumerate(digests)
    ]
    for row, status in zip(rows, (DONE, DONE, FAILED), strict=True):
        row.status = status
    assert mixed_files(rows) == expected


@pytest.mark.slow
def test_a_sweep_trains_again_what_was_trained_on_other_data(tmp_path: Path) -> None:
    folds = ["split=k_fold", "n_folds=2", "test_fold=1,2", "dataset=File", "path=log.csv", "root=."]
    command = [sys.executable, "-m", "recrun", "sweep", "popularity", *folds, "monitors=[recall@3]", "--json", "-q"]

    def sweep() -> tuple[dict, str]:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    _write(tmp_path, ROWS)
    first, _ = sweep()
    again, said = sweep()
    assert (again, "trained again" in said) == (first, False)
    _write(tmp_path, [(user, 7 - item) for user, item in ROWS if user != 3])
    second, said = sweep()
    lines = [line for line in said.splitlines() if line.startswith("note: trial ")]
    assert [line.partition(": the file log.csv has changed (SHA-256 ")[0] for line in lines] == [
        f"note: trial {index} is trained again" for index in (0, 1)
    ]
    assert [Path(trial["run"]).name[-2:] for trial in second["trials"]] == ["-2", "-2"]
    again, said = sweep()
    assert (again, "trained again" in said) == (second, False)
