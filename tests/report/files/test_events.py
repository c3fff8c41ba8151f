from __future__ import annotations

import math
from pathlib import Path

import pytest

from recrun.report.files.events import EventWriter
from recrun.runs.history import Part


def _read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads from a folder: (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_reads_back_what_was_written(tmp_path, fake_run):
    writer = EventWriter(tmp_path / "summary")
    fake_run(writer)
    writer.close()
    scalars = _read(tmp_path / "summary")
    splits = [
        f"{split}/{name}" for split in ("valid", "test") for name in ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
    ]
    assert sorted(scalars) == sorted(["train/loss", *splits])
    assert [step for step, _ in scalars["valid/ndcg@20"]] == list(range(31))
    assert scalars["valid/ndcg@20"][18][1] == pytest.approx(0.04)
    assert scalars["train/loss"][0] == (1, pytest.approx(math.exp(-1 / 8)))
    assert scalars["test/recall@10"] == [(18, pytest.approx(0.16))]


def test_an_evaluation_is_on_disk_at_once(tmp_path):
    writer = EventWriter(tmp_path)
    writer.evaluated(0, "valid", {"ndcg@20": 0.5}, True, 1.0)
    assert _read(tmp_path) == {"valid/ndcg@20": [(0, 0.5)]}
    writer.close()


def test_nothing_is_made_before_there_is_something_to_write(tmp_path, fake_info):
    writer = EventWriter(tmp_path / "summary")
    writer.start(fake_info())
    writer.trained(1, {}, 1.0)
    writer.close()
    assert not (tmp_path / "summary").exists()


@pytest.mark.parametrize("resumed_from", [10, 30])
def test_a_resumed_run_has_every_step_once(tmp_path, fake_run, resumed_from):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train = {"epoch": resumed_from, "split": "train", "values": {"loss": math.exp(-resumed_from / 8)}}
    earlier = {**train, "epoch": resumed_from - 1, "values": {"loss": 5.0}}
    tested = {**train, "split": "test", "values": {"auc": 0.5}}  # as of a run that only lacked its summary
    for folder, firsts in ((whole, [0]), (parts, [0, resumed_from, resumed_from])):
        for first in firsts:
            writer = EventWriter(folder, [Part([earlier, train, tested], False)] if first else [])
            fake_run(writer, first=first)
            writer.close()
    assert len(list(parts.glob("*.test"))) == 1
    assert len(list(parts.iterdir())) == 4
    assert _read(parts) == _read(whole)


def test_a_run_begun_anew_leaves_nothing_of_the_old_one(tmp_path, fake_info):
    for value in (0.25, 0.5):
        writer = EventWriter(tmp_path)
        writer.start(fake_info())
        writer.evaluated(0, "valid", {"ndcg@20": value}, True, 1.0)
        writer.close()
    assert _read(tmp_path) == {"valid/ndcg@20": [(0, 0.5)]}


def test_a_file_torn_by_a_killed_run_does_not_stop_the_next_one(tmp_path, fake_run):
    writer = EventWriter(tmp_path)
    fake_run(writer)
    writer.close()
    (file,) = (path for path in tmp_path.iterdir() if path.suffix != ".test")
    file.write_bytes(file.read_bytes()[:-7])
    train = {"epoch": 29, "split": "train", "values": {"loss": 0.5}}
    writer = EventWriter(tmp_path, [Part([train], False)])
    fake_run(writer, first=29)
    writer.close()
    assert [step for step, _ in _read(tmp_path)["valid/ndcg@20"]] == list(range(31))
    assert [step for step, _ in _read(tmp_path)["train/loss"]] == list(range(1, 31))


def test_values_that_are_not_finite_can_be_written(tmp_path):
    writer = EventWriter(tmp_path)
    writer.evaluated(1, "valid", {"auc": math.nan}, False, 1.0)
    writer.close()
    writer.close()
    ((step, value),) = _read(tmp_path)["valid/auc"]
    assert step == 1
    assert math.isnan(value)
