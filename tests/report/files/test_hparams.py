from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.report.files.events import EventWriter
from recrun.report.files.hparams import HparamsWriter
from recrun.runs.folder import RunFolder

SETTINGS: dict[str, Any] = {"description": "one", "model": "bprmf", "dataset": "Synthetic", "lr": 0.001, "loss": None}
RESULT: dict[str, Any] = {
    "best_epoch": 3,
    "valid": {"ndcg@20": 0.5, "auc": None},
    "test": {"ndcg@20": 0.25},
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, SETTINGS)


def _sessions(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Return what the tab HPARAMS reads: the hyperparameters and the status of each session."""
    from google.protobuf.json_format import MessageToDict
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    content = EventAccumulator(str(folder)).Reload().PluginTagToContent("hparams")
    data = {tag: HParamsPluginData.FromString(text) for tag, text in content.items()}
    if not data:
        return []
    start = MessageToDict(data["_hparams_/session_start_info"].session_start_info)["hparams"]
    end = MessageToDict(data["_hparams_/session_end_info"].session_end_info)["status"]
    return [(start, end)]


def _metrics(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def _write(run: RunFolder, resumed_from: int | None = None, result: dict[str, Any] | None = None) -> None:
    """Have a run of one epoch write its event files and its hyperparameters."""
    events, hparams = EventWriter(run.summary_folder), HparamsWriter(run, {**SETTINGS, "monitors": ["a", "b"]})
    for each in (events, hparams):
        each.start({"resumed_from": resumed_from})
        each.evaluated((resumed_from or 0) + 1, "valid", {"ndcg@20": 0.5}, True, 1.0)
        if result is not None:
            each.finish(result)
    for each in (events, hparams):
        each.close()


def test_settings_and_final_metrics_are_listed(run: RunFolder) -> None:
    _write(run, result=RESULT)
    ((settings, status),) = _sessions(run.summary_folder)
    assert settings["lr"] == 0.001
    assert settings["model"] == "bprmf"
    assert settings["loss"] == "null"
    assert settings["monitors"] == "[a, b]"
    assert status == "STATUS_SUCCESS"
    metrics = _metrics(run.summary_folder)
    assert metrics["best/ndcg@20"] == [(3, 0.5)]
    assert metrics["valid/ndcg@20"] == [(1, 0.5)]
    assert "best/auc" not in metrics, "it is undefined"


def test_a_run_that_is_not_done_has_its_settings_and_that_status(run: RunFolder) -> None:
    _write(run)
    ((settings, status),) = _sessions(run.summary_folder)
    assert (settings["lr"], status) == (0.001, "STATUS_FAILURE")


def test_a_resumed_run_replaces_the_file(run: RunFolder) -> None:
    _write(run, result=RESULT)
    _write(run, resumed_from=2, result={**RESULT, "best_epoch": 4})
    assert len(list(run.summary_folder.glob("*.hparams"))) == 1
    assert [step for step, _ in _metrics(run.summary_folder)["best/ndcg@20"]] == [4]
    assert [step for step, _ in _metrics(run.summary_folder)["valid/ndcg@20"]] == [1, 3]


def test_a_run_that_did_not_begin_writes_nothing(run: RunFolder) -> None:
    HparamsWriter(run, SETTINGS).close()
    assert list(run.summary_folder.iterdir()) == []
