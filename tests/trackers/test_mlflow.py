from __future__ import annotations

import json
from typing import Any

import pytest

from tests.trackers.conftest import SMALL, MlflowServer, Workplace, wait_until

NAMED = ["bprmf", *SMALL, "description=mine", "id=one"]
SIX = "epochs=6"


@pytest.fixture
def tracked(work: Workplace, mlflow_server: MlflowServer, request: pytest.FixtureRequest) -> Workplace:
    """A workplace whose runs go to the server, into an experiment of the test's own."""
    work.environment["MLFLOW_TRACKING_URI"] = mlflow_server.address
    work.environment["MLFLOW_EXPERIMENT_NAME"] = request.node.name
    return work


def _client(server: MlflowServer) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(server.address)


def _only_run(server: MlflowServer, experiment: str) -> Any:
    client = _client(server)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run


def _steps(server: MlflowServer, run: Any, name: str) -> list[int]:
    return [each.step for each in _client(server).get_metric_history(run.info.run_id, name)]


def _require_whole(server: MlflowServer, run: Any) -> None:
    """Check that the server has each epoch once."""
    assert _steps(server, run, "train/loss") == [1, 2, 3, 4, 5, 6]
    assert _steps(server, run, "valid/ndcg_at_5") == [0, 1, 2, 3, 4, 5, 6]
    assert len(_steps(server, run, "test/ndcg_at_5")) == 1
    assert run.info.status == "FINISHED"


def test_a_run_is_tracked_with_settings_values_status_and_files(
    tracked: Workplace, mlflow_server: MlflowServer, request: pytest.FixtureRequest
) -> None:
    out, err = tracked.run("train", *NAMED, SIX, "track=[mlflow]", "--json")
    result = json.loads(out)
    assert "warning" not in err
    run = _only_run(mlflow_server, request.node.name)
    _require_whole(mlflow_server, run)
    assert (run.data.params["lr"], run.data.params["monitors"]) == ("0.001", "[ndcg@5]")
    assert run.data.metrics["test/ndcg_at_5"] == pytest.approx(result["test"]["ndcg@5"])
    assert run.data.metrics["best/ndcg_at_5"] == pytest.approx(result["valid"]["ndcg@5"])
    assert (run.data.tags["model"], run.data.tags["recrun.status"]) == ("bprmf", "done")
    files = {file.path for file in _client(mlflow_server).list_artifacts(run.info.run_id)}
    assert files == {"config.yaml", "metrics.json", "SUMMARY.md"}
    tracked.run("train", "--resume", str(tracked.run_folder), "epochs=7")
    run = _only_run(mlflow_server, request.node.name)
    assert _steps(mlflow_server, run, "train/loss") == [1, 2, 3, 4, 5, 6, 7]
    assert run.data.tags["now.epochs"] == "7", "MLflow lets no parameter change"


def test_a_project_that_is_set_is_the_experiment(tracked: Workplace, mlflow_server: MlflowServer) -> None:
    tracked.run("train", *NAMED, "track=[mlflow]", "track_project=of my own", "epochs=1")
    assert _only_run(mlflow_server, "of my own").info.run_name == "one"


def test_a_server_that_is_killed_in_the_middle_gets_the_rest_by_push(
    tracked: Workplace, mlflow_server: MlflowServer, request: pytest.FixtureRequest
) -> None:
    gate, file = tracked.gated()
    process = tracked.start("train", *NAMED, SIX, f"track=[mlflow,{gate}]", file)
    wait_until(lambda: tracked.sent("mlflow") == 3)
    mlflow_server.kill()
    tracked.open_gate()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert f"deliver it with: recrun track push {'runs/mine/Synthetic/one'}" in err
    assert tracked.record("mlflow")["problem"]
    _, err = tracked.run("track", "push", "runs/latest", "--to", "mlflow", code=1)
    assert "mlflow" in err
    mlflow_server.start()
    mlflow_server.wait()
    for sent in ("epochs and evaluations sent", "nothing was missing"):
        out, _ = tracked.run("track", "push", "runs/latest", "--to", "mlflow")
        assert sent in out
    _require_whole(mlflow_server, _only_run(mlflow_server, request.node.name))


def test_a_run_that_was_killed_goes_on_as_the_same_run(
    tracked: Workplace, mlflow_server: MlflowServer, request: pytest.FixtureRequest
) -> None:
    gate, file = tracked.gated()
    process = tracked.start("train", *NAMED, SIX, f"track=[mlflow,{gate}]", file, "checkpoint_freq=2")
    wait_until(lambda: tracked.sent("mlflow") == 3)
    process.kill()
    process.communicate()
    tracked.open_gate()
    tracked.run("train", "--resume", str(tracked.run_folder))
    _require_whole(mlflow_server, _only_run(mlflow_server, request.node.name))
    # As if it had been killed between the server's answer and the note of it: the server knows better.
    record = tracked.record("mlflow")
    record |= {"sent": {}, "handle": None, "ended": None}
    (tracked.run_folder / "track" / "mlflow.json").write_text(json.dumps(record), encoding="utf-8")
    tracked.run("track", "push", "runs/mine/Synthetic/one", "--to", "mlflow")
    _require_whole(mlflow_server, _only_run(mlflow_server, request.node.name))
