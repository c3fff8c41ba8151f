"""What MLflow and W&B are sent after a call that failed, or a process that was killed, in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recrun.report.trackers.delivery import Delivery
from recrun.report.trackers.mlflow import MlflowTracker
from recrun.report.trackers.tracker import Tracker
from recrun.report.trackers.wandb import WandbTracker
from recrun.runs.folder import RunFolder
from recrun.runs.history import History
from tests.report.trackers.services import MlflowServer, WandbServer, mlflow_server, wandb_server

__all__ = ["mlflow_server", "wandb_server"]

SETTINGS: dict[str, Any] = {"description": "one", "model": "bprmf", "dataset": "Synthetic", "id": "a", "epochs": 200}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, SETTINGS)


def _deliver(tracker: Tracker) -> int:
    delivery = Delivery(tracker)
    with delivery.opened():
        return delivery.deliver(final=False)


def _write(run: RunFolder, n_epochs: int, n_metrics: int) -> list[tuple[str, int]]:
    """Write a history of evaluations, and return the (metric, epoch) of its values."""
    history, names = History(run.metrics_lines_file), [f"m{number}" for number in range(n_metrics)]
    for epoch in range(n_epochs):
        history.append(epoch, "valid", dict.fromkeys(names, 0.5), 0.1)
    return [(f"valid/{name}", epoch) for epoch in range(n_epochs) for name in names]


@pytest.mark.parametrize("fails_after", [0, 1, 900, 903, 1399])
def test_mlflow_has_every_value_after_a_call_that_failed(
    run: RunFolder, mlflow_server: MlflowServer, fails_after: int
) -> None:
    values = _write(run, 200, 7)
    mlflow_server.fails_after = fails_after
    with pytest.raises(ConnectionError):
        _deliver(MlflowTracker(run, {}))
    mlflow_server.fails_after = float("inf")
    _deliver(MlflowTracker(run, {}))
    assert set(mlflow_server.values) == set(values)
    assert max(mlflow_server.sizes) <= 900
    assert _deliver(MlflowTracker(run, {})) == 0


def test_an_epoch_is_not_cut_between_two_calls_of_mlflow(run: RunFolder, mlflow_server: MlflowServer) -> None:
    values = _write(run, 200, 7)
    _deliver(MlflowTracker(run, {}))
    assert mlflow_server.values == values, "once, and in order"
    assert sum(mlflow_server.sizes) == 1400
    assert all(size % 7 == 0 for size in mlflow_server.sizes)


def test_mlflow_is_not_told_twice_what_it_took_if_the_answer_was_lost(
    run: RunFolder, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = _write(run, 3, 2)
    taken = mlflow_server.log_batch

    def lose(*given: Any, **more: Any) -> None:
        taken(*given, **more)
        if more.get("metrics"):
            raise TimeoutError

    monkeypatch.setattr(mlflow_server, "log_batch", lose)
    with pytest.raises(TimeoutError):
        _deliver(MlflowTracker(run, {}))
    monkeypatch.undo()
    assert mlflow_server.values == values


def test_an_epoch_of_more_values_than_mlflow_takes_counts_once_all_are_there(
    run: RunFolder, mlflow_server: MlflowServer
) -> None:
    values = _write(run, 2, 1000)
    mlflow_server.fails_after = 1950
    with pytest.raises(ConnectionError):
        _deliver(MlflowTracker(run, {}))
    assert mlflow_server.tags["recrun.sent.valid"] == "0"
    mlflow_server.fails_after = float("inf")
    assert _deliver(MlflowTracker(run, {})) == 1
    assert set(mlflow_server.values) == set(values)


@pytest.mark.parametrize("n_before", [0, 1, 2, 3, 4, 5, 6, 7])
def test_wandb_gets_what_follows_wherever_a_process_was_killed(
    run: RunFolder, wandb_server: WandbServer, n_before: int
) -> None:
    events = [("valid", 0), *((split, epoch) for epoch in (1, 2, 3) for split in ("train", "valid"))]
    history = History(run.metrics_lines_file)
    for split, epoch in events[:n_before]:
        history.append(epoch, split, {"value": 0.5}, 0.1)
    _deliver(WandbTracker(run, {}))
    for split, epoch in events[n_before:]:
        history.append(epoch, split, {"value": 0.5}, 0.1)
    assert _deliver(WandbTracker(run, {})) == len(events) - n_before
    assert wandb_server.got() == [(f"{split}/value", epoch) for split, epoch in events]


def test_the_x_axis_of_wandb_is_the_epoch(run: RunFolder, wandb_server: WandbServer) -> None:
    _write(run, 1, 1)
    _deliver(WandbTracker(run, {}))
    assert wandb_server.axes == {"train/*": "epoch", "valid/*": "epoch"}
