from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from recrun.errors import CheckpointError
from recrun.metrics.undefined import Undefined
from recrun.runs.history import History, read_history, recent_history


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _fill(history: History, first: int, last: int, best: int = 0) -> None:
    """Add an evaluation and an epoch of training for each epoch."""
    for epoch in range(first, last):
        history.append(epoch, "valid", {"auc": epoch / 8}, 0.5, epoch == best)
        history.append(epoch + 1, "train", {"loss": 1.0 + epoch}, 2.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_there_is_a_line_for_each_epoch_and_split(path: Path) -> None:
    _fill(History(path), 0, 2)
    assert _lines(path) == [
        {"epoch": 0, "split": "valid", "values": {"auc": 0.0}, "seconds": 0.5, "best": True},
        {"epoch": 1, "split": "train", "values": {"loss": 1.0}, "seconds": 2.0, "best": False},
        {"epoch": 1, "split": "valid", "values": {"auc": 0.125}, "seconds": 0.5, "best": False},
        {"epoch": 2, "split": "train", "values": {"loss": 2.0}, "seconds": 2.0, "best": False},
    ]


def test_values_that_are_not_finite_are_null_and_undefined_ones_have_a_reason(path: Path) -> None:
    history = History(path)
    history.append(1, "valid", {"auc": Undefined("no user has both labels"), "loss": math.inf, "rmse": 0.5}, 1.0)
    (line,) = _lines(path)
    assert line["values"] == {"auc": None, "loss": None, "rmse": 0.5}
    assert line["undefined"] == {"auc": "no user has both labels"}
    (read,) = read_history(path)
    assert isinstance(read["values"]["auc"], Undefined)
    assert read["values"]["auc"].reason == "no user has both labels"
    assert math.isnan(read["values"]["loss"])


@pytest.mark.parametrize("after", [0, 1, 7])
@pytest.mark.parametrize("torn", ["", '{"epoch": 9, "spl'])
def test_a_resumed_run_writes_the_same_file(path: Path, tmp_path: Path, after: int, torn: str) -> None:
    whole = History(tmp_path / "whole.jsonl")
    _fill(whole, 0, 10)
    first = History(path)
    _fill(first, 0, after)
    position = first.position()
    _fill(first, after, 9)
    with path.open("a", encoding="utf-8") as file:
        file.write(torn)
    resumed = History(path)
    assert resumed.go_back_to(position, after)
    assert resumed.position() == position
    _fill(resumed, after, 10)
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert resumed.position() == whole.position()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"auc": 0.25', '"auc": 0.75'),
        lambda text: "\x00" * 50 + "\n" + text,
        lambda text: text.replace("\n", "\nno line\n"),
        lambda text: text.replace('"split": "valid"', '"split": 5'),
    ],
    ids=["cut off", "changed", "zeros", "foreign lines", "other types"],
)
def test_a_file_that_was_changed_keeps_the_lines_that_can_be_read(path: Path, change: Any) -> None:
    history = History(path)
    _fill(history, 0, 5)
    position = history.position()
    history.append(3, "test", {"auc": 0.5}, 1.0)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    again = History(path)
    assert not again.go_back_to(position, 5)
    kept = _lines(path)
    assert kept == list(read_history(path, strict=True))
    assert all(line["split"] in ("train", "valid") and line["epoch"] <= 5 for line in kept)
    _fill(again, 5, 6)
    assert again.position() == {"bytes": path.stat().st_size, "digest": again.position()["digest"]}
    assert History(path).go_back_to(again.position(), 6)


def test_a_file_that_is_gone_is_begun_again(path: Path) -> None:
    history = History(path)
    empty = history.position()
    _fill(history, 0, 3)
    position = history.position()
    path.unlink()
    assert not History(path).go_back_to(position, 3)
    assert History(path).go_back_to(empty, 0)
    assert list(read_history(path)) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")
@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "device"])
def test_what_is_no_regular_file_is_refused(path: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "other").write_text("kept")
    make = {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to("other"),
        "device": lambda: path.symlink_to("/dev/zero"),
    }
    make[kind]()
    position = {"bytes": 10, "digest": "0" * 64}
    for read in (
        lambda: History(path).go_back_to(position, 5),
        lambda: list(read_history(path)),
        lambda: recent_history(path, 5),
    ):
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl: it is (not a regular file|a symbolic link)"):
            read()
    assert (tmp_path / "other").read_text() == "kept"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"epoch": 1}', '{"epoch": NaN, "split": "valid", "values": {}}', "[" * 100000]
)
def test_a_line_that_is_none_is_skipped_or_refused(path: Path, text: str) -> None:
    _fill(History(path), 0, 1)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    assert len(list(read_history(path))) == 2
    with pytest.raises(CheckpointError, match="is damaged: line 3 cannot be read"):
        list(read_history(path, strict=True))


def test_the_end_is_read_with_the_best_evaluation(path: Path) -> None:
    _fill(History(path), 0, 3000, best=1000)
    best, last = recent_history(path, 6)
    assert [(line["epoch"], line["split"]) for line in best.lines[-2:]] == [(1000, "train"), (1000, "valid")]
    assert [line["epoch"] for line in last.lines] == [2997, 2998, 2998, 2999, 2999, 3000]
    assert not best.is_first
    assert not last.is_first


@pytest.mark.parametrize("best", [0, 1, 5, 9, 99])
@pytest.mark.parametrize("n_lines", [1, 2, 5, 20, 50])
def test_parts_of_a_short_history_are_those_of_the_whole(path: Path, best: int, n_lines: int) -> None:
    _fill(History(path), 0, 10, best=best)
    whole = _lines(path)
    parts = recent_history(path, n_lines)
    assert parts[-1].lines == whole[-n_lines:]
    assert parts[-1].is_first == (n_lines >= len(whole))
    found = [line for part in parts for line in part.lines if line["best"]]
    assert found == [line for line in whole if line["best"]]


def test_a_history_without_a_file_has_no_lines(path: Path) -> None:
    assert list(read_history(path)) == [] == recent_history(path, 5)
