"""Stand-ins for the packages `mlflow` and `wandb`, with a server that can fail, or be left by a process, in a call."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class MlflowServer:
    """What an MLflow server holds of one run, as its client.

    Args:
        fails_after: how many values it takes before a call fails, with what was taken of it.
    """

    fails_after: float = float("inf")
    values: list[tuple[str, int]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    exists: bool = False

    @property
    def _run(self) -> Any:
        data = SimpleNamespace(params={}, tags=dict(self.tags), metrics={name: 0.0 for name, _ in self.values})
        return SimpleNamespace(
            info=SimpleNamespace(run_id="run", status="RUNNING", lifecycle_stage="active"), data=data
        )

    def get_run(self, handle: str) -> Any:
        return self._run

    def search_runs(self, *wanted: Any, **more: Any) -> list[Any]:
        return [self._run] if self.exists else []

    def get_experiment_by_name(self, name: str) -> Any:
        return SimpleNamespace(experiment_id="1")

    def create_run(self, experiment: str, tags: dict[str, str], run_name: str) -> Any:
        self.exists, self.tags = True, dict(tags)
        return self._run

    def get_metric_history(self, run: str, name: str) -> list[Any]:
        return [SimpleNamespace(step=step) for key, step in self.values if key == name]

    def log_batch(self, run: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.sizes.append(len(metrics))
        for metric in metrics:
            if len(self.values) >= self.fails_after:
                raise ConnectionError("the server is down")
            self.values.append((metric.key, metric.step))
        self.tags.update({tag.key: tag.value for tag in tags})

    def log_artifact(self, run: str, file: str) -> None: ...

    def set_tag(self, run: str, name: str, text: str) -> None: ...

    def set_terminated(self, run: str, status: str, end_time: int) -> None: ...


@pytest.fixture
def mlflow_server(monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """An MLflow server in place of the package."""
    server = MlflowServer()
    package, entities, exceptions = (ModuleType(name) for name in ("mlflow", "mlflow.entities", "mlflow.exceptions"))
    vars(package)["MlflowClient"] = lambda: server
    vars(entities).update(
        Metric=lambda key, value, at, step: SimpleNamespace(key=key, step=step),
        Param=lambda key, value: SimpleNamespace(key=key, value=value),
        RunTag=lambda key, value: SimpleNamespace(key=key, value=value),
    )
    vars(exceptions)["MlflowException"] = type("MlflowException", (Exception,), {})
    for module in (package, entities, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return server


@dataclass
class WandbServer:
    """What W&B holds of one run; it drops what is logged for a step before its last one, and joins what shares one."""

    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    offline: bool = False
    disabled: bool = False
    resumed: bool = False

    def __post_init__(self) -> None:
        self.summary: dict[str, Any] = {}
        self.starting_step = 0

    def init(self, **settings: Any) -> WandbServer:
        self.resumed = bool(self.rows)
        self.starting_step = max(self.rows, default=-1) + 1
        return self

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.axes[name] = str(step_metric)

    def log(self, values: dict[str, Any], step: int) -> None:
        if step >= max([self.starting_step, *self.rows]):
            self.rows.setdefault(step, {}).update(values)

    def got(self) -> list[tuple[str, int]]:
        """Return the (metric, epoch) of every value, in order."""
        return [(name, row["epoch"]) for _, row in sorted(self.rows.items()) for name in row if name != "epoch"]


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch) -> WandbServer:
    """W&B in place of the package."""
    server, package = WandbServer(), ModuleType("wandb")
    vars(package).update(Settings=lambda **given: given, init=server.init)
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setenv("WANDB_SILENT", "true")
    return server
