"""Listing runs whose folders a stranger wrote: every row is sane or marked damaged, and nothing waits or crashes."""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import ConfigError
from recrun.files import to_json
from recrun.runs.folder import RunFolder
from recrun.runs.listing import list_runs

SETTINGS = {"description": "mf", "dataset": "Synthetic", "model": "bprmf", "lr": 0.01, "layers": [8, 4], "id": "one"}
RECORD = {"schema_version": 1, "status": "done", "started": "2026-01-01", "which4best": "ndcg@20", "cause": None}
METRICS = {
    "best_epoch": 3,
    "valid": {"ndcg@20": 0.1},
    "test": {"ndcg@20": None},
    "undefined": {"test": {"a": "b"}},
    "seconds": {"train": 1.0, "total": 1.5},
}
OWN = "a run has only files and folders of its own"
VALUES = [
    None,
    True,
    0,
    -1.5,
    "text",
    "",
    [],
    {},
    [[1]],
    {"a": {"b": [1]}},
    "x" * 20_000,
    10**400,
    1e308,
    "\ud800",
    "\x1b[2J",
    [None, {}, "a"],
    {"": None},
]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return a finished run in the folder of all runs."""
    run = RunFolder.create(tmp_path, SETTINGS)
    run.update_run(**RECORD, test_evaluations=[{"metrics": {"ndcg@20": 0.1}}])
    run.write_json(run.metrics_file, METRICS)
    return run


def _row(root: Path) -> dict[str, Any]:
    (row,) = list_runs(root)
    assert json.loads(to_json(row, default=str))["name"] == "one"
    return row


def _write(file: Path, document: Any) -> None:
    file.write_text(json.dumps(document), encoding="utf-8")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)  # a socket's path may have some 100 bytes only
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


def _link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("{}", encoding="utf-8")
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("put", "cause"),
    [
        (_fifo, "is not a regular file"),
        (_socket, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (_link, "is a symbolic link"),
        (_sparse, "10,737,418,240 bytes"),
        (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
        (lambda path: path.symlink_to(path.name), "is a symbolic link"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "config.yaml", "metrics.json"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_what_is_no_regular_file_marks_the_run_damaged(
    tmp_path: Path, run: RunFolder, name: str, put: Callable[[Path], None], cause: str
) -> None:
    (run.path / name).unlink()
    put(run.path / name)
    row = _row(tmp_path)
    assert row["status"] == "damaged"
    assert cause in row["cause"]
    assert name in row["cause"]


@pytest.mark.parametrize("name", ["log.txt", "metrics.jsonl", ".lock", "checkpoints", "summary"])
def test_a_link_in_place_of_another_file_marks_the_run_damaged(tmp_path: Path, run: RunFolder, name: str) -> None:
    if (run.path / name).is_dir():
        (run.path / name).rename(run.path / f"other-{name}")
    (run.path / name).unlink(missing_ok=True)
    (run.path / name).symlink_to("/dev/zero")
    assert _row(tmp_path)["cause"] == f"the run {run.path} is damaged: {name} is a symbolic link; {OWN}"


def test_settings_are_those_of_config_yaml_and_damaged_where_no_config_holds_such(
    tmp_path: Path, run: RunFolder
) -> None:
    document = run.read_run()
    assert _row(tmp_path)["settings"] == run.read_settings()
    for wrong in ({"lr": [[[[[[1]]]]]]}, {"lr": "x" * 20_000}, {"lr": {"a": 10**30}}):
        _write(run.run_file, {**document, "settings": wrong})
        assert _row(tmp_path)["cause"] == f"{run.run_file} is damaged: the setting lr is not a value"
    _write(run.run_file, {**document, "settings": [1]})
    run.config_file.write_text("lr: 7\n", encoding="utf-8")
    assert _row(tmp_path)["settings"] == {"lr": 7}
    run.config_file.write_text("lr: .inf\n", encoding="utf-8")
    assert _row(tmp_path)["cause"] == f"{run.config_file} is damaged: the setting lr is not a value"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[" * 100_000, "it is not JSON"),
        ('{"schema_version": NaN}', "it holds NaN, and JSON has finite numbers only"),
        ('{"schema_version": 1e999}', "it holds 1e999, and JSON has finite numbers only"),
        (f'{{"schema_version": {"9" * 5000}}}', "it holds an integer of thousands of digits"),
        ('{"schema_version": true, "status": 1}', "status is not a short text"),
        ('{"schema_version": 1, "status": "done", "started": 3}', "started is not a short text"),
        ('{"schema_version": 1, "status": "done", "test_evaluations": [1]}', "test_evaluations is not a list"),
    ],
)
def test_a_run_json_of_wrong_values_marks_the_run_damaged(
    tmp_path: Path, run: RunFolder, text: str, cause: str
) -> None:
    run.run_file.write_text(text, encoding="utf-8")
    row = _row(tmp_path)
    assert row["status"] == "damaged"
    assert row["cause"].startswith(f"{run.run_file} is damaged: {cause}")


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files_never_crash_the_list_its_conditions_or_its_order(
    tmp_path: Path, run: RunFolder, seed: int
) -> None:
    draw, created = random.Random(seed), run.read_run()
    for _ in range(100):
        record = {**created, **RECORD, "settings": dict(SETTINGS), "test_evaluations": [{"metrics": {"ndcg@20": 0.1}}]}
        metrics = json.loads(json.dumps(METRICS))
        for document in (record, metrics):
            for _ in range(draw.randint(0, 2)):
                inner = draw.choice([document, *(value for value in document.values() if isinstance(value, dict))])
                inner[draw.choice([*inner, "more"])] = draw.choice(VALUES)
        _write(run.run_file, record)
        metrics_text = json.dumps(metrics)
        if draw.random() < 0.2:
            cut = draw.randrange(len(metrics_text))
            metrics_text = metrics_text[:cut] + draw.choice(["", "\0", "}", "9" * 5000])
        run.metrics_file.write_text(metrics_text, encoding="utf-8")
        row = _row(tmp_path)
        assert row["status"] in ("damaged", record["status"])
        with suppress(ConfigError):  # a damaged run has no settings, so that `lr` is none of any run
            list_runs(tmp_path, ["status!=failed", "lr<1", "best_epoch>=1"], sort="-lr")
        list_runs(tmp_path, ["status!=failed", "which4best>a", "valid.ndcg@20<1"] if row["valid"] else [], sort="cause")


@pytest.mark.usefixtures("run")
def test_runs_are_chosen_by_the_time_that_they_took(tmp_path: Path) -> None:
    assert _row(tmp_path)["seconds"] == 1.5
    assert len(list_runs(tmp_path, ["seconds>1"], sort="-seconds")) == 1
    assert list_runs(tmp_path, ["seconds>2"]) == []


def test_conditions_and_order_take_values_of_all_types(tmp_path: Path) -> None:
    values = [1, "text", None, True, 0.5, [1], {"a": 1}, 2**63, "2"]
    for number, value in enumerate(values):
        RunFolder.create(tmp_path, {**SETTINGS, "id": f"r{number}", "lr": value})
    for condition in ("lr<1", "lr>=text", "lr=null", "lr!=[1]", "lr<true", "lr>1e300"):
        list_runs(tmp_path, [condition])
    names = [row["settings"]["lr"] for row in list_runs(tmp_path, sort="lr")]
    assert names[:6] == [0.5, 1, True, 2**63, "2", "text"]
