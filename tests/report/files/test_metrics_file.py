from __future__ import annotations

import json
import math

import pytest

from recrun.report.files.metrics_file import MetricsWriter, read_metrics


def _lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_there_is_a_line_for_each_epoch_and_split(tmp_path, fake_run):
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    fake_run(writer)
    writer.close()
    lines = _lines(path)
    assert len(lines) == 31 + 30 + 1
    assert lines[0]["split"] == "valid"
    assert lines[1] == {
        "epoch": 1,
        "split": "train",
        "values": {"loss": math.exp(-1 / 8)},
        "seconds": 12.0,
        "best": False,
    }
    assert [line["epoch"] for line in lines if line["best"]] == list(range(19))
    assert lines[-1]["values"]["recall@10"] == 0.16


@pytest.mark.parametrize("told_by", ["constructor", "start"])
def test_a_resumed_run_has_every_line_once(tmp_path, fake_run, told_by):
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    fake_run(MetricsWriter(whole))
    fake_run(MetricsWriter(parts))
    fake_run(MetricsWriter(parts, resumed_from=10) if told_by == "constructor" else MetricsWriter(parts), first=10)

    def order(line: dict) -> tuple:
        return line["epoch"], line["split"]

    assert sorted(_lines(parts), key=order) == sorted(_lines(whole), key=order)


def test_lines_of_later_epochs_go_before_the_run_begins(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    for epoch in range(1, 6):
        writer.trained(epoch, {"loss": 1.0}, 1.0)
    MetricsWriter(path, resumed_from=2)
    assert [line["epoch"] for line in _lines(path)] == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_second_measurement_takes_the_place_of_the_first(tmp_path):
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    writer.evaluated(3, "test", {"auc": 0.5}, False, 1.0)
    writer.evaluated(4, "test", {"auc": 0.5}, False, 1.0)
    writer.evaluated(3, "test", {"auc": 0.75}, False, 1.0)
    assert [(line["epoch"], line["values"]["auc"]) for line in _lines(tmp_path / "metrics.jsonl")] == [
        (4, 0.5),
        (3, 0.75),
    ]


def test_a_line_torn_by_a_killed_run_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsWriter(path).trained(1, {"loss": 1.0}, 1.0)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"epoch": 2, "spl')
    MetricsWriter(path).trained(2, {"loss": 0.5}, 1.0)
    assert [line["values"]["loss"] for line in _lines(path)] == [1.0, 0.5]


def test_values_that_are_not_finite_are_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsWriter(path).evaluated(1, "valid", {"auc": math.nan, "loss": math.inf}, False, 1.0)
    assert _lines(path)[0]["values"] == {"auc": None, "loss": None}
    (line,) = read_metrics(path)
    assert line["epoch"] == 1
    assert all(map(math.isnan, line["values"].values()))


def test_a_file_that_is_missing_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []
