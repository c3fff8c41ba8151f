"""Report runs to MLflow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from recrun.config.yaml_writer import dump_value
from recrun.report.trackers.tracker import About, Ending, Point, Tracker

_STATUS: Final = {"done": "FINISHED", "failed": "FAILED"}
"""MLflow's words; whatever else ended a run KILLED it."""
_MANY: Final = 100
"""Parameters and tags in one call; MLflow takes no more."""
_METRICS: Final = 900
"""Metrics in one call, likewise."""
_LONGEST: Final = 6000
_SENT: Final = "recrun.sent."
"""Begins the names of the tags that hold the last epoch of each split."""
_REFUSED: Final = re.compile(r"[^\w\-. /]")
_ENVIRONMENT: Final = {
    # By MLflow's defaults, it tries for minutes before it tells that a server is down, and prints on stdout.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowTracker(Tracker):
    """Reports a run to the server that MLFLOW_TRACKING_URI names, or to where MLflow keeps runs without it.

    The experiment is `track_project`, else what MLFLOW_EXPERIMENT_NAME or MLFLOW_EXPERIMENT_ID says, else the
    description. MLflow allows no `@` in names: `ndcg@10` is called `ndcg_at_10` there.
    """

    name = "mlflow"

    def begin(self, about: About) -> str:
        """Find the run by the id that recrun gave it, or create it; its settings become parameters."""
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        from mlflow import MlflowClient

        self._client: Any = MlflowClient()
        found = self._find(about)
        if found is None:
            tags = {"recrun.id": about.id, **about.tags}
            found = self._client.create_run(self._experiment(about), tags=tags, run_name=about.name)
        elif found.info.status != "RUNNING":
            self._client.update_run(found.info.run_id, status="RUNNING")
        self._id = found.info.run_id
        self._found = found
        self._log_settings(about.settings, found.data.params)
        return str(self._id)

    def known(self) -> dict[str, int] | None:
        """Return the last epochs that the server has whole, by its tags; None if it has values but no such tag."""
        tags = self._found.data.tags
        last = {split: int(tags[_SENT + split]) for split in ("train", "valid") if _SENT + split in tags}
        return None if self._found.data.metrics and not last else last

    def log(self, points: Sequence[Point]) -> None:
        """Log the values of some epochs at once, as many as one call takes, and by a tag how far that has come.

        A server may have taken a part of a call that failed. So the tags are in the call of the values that they count.
        """
        now = _milliseconds(None)
        for some in _calls(points):
            values = [(name, value, now, point.epoch) for point in some for name, value in point.named().items()]
            self._log(values, {_SENT + point.split: str(point.epoch) for point in some})

    def end(self, ending: Ending) -> None:
        """Upload the files, log the final values, and set the status."""
        for file in ending.files:
            self._client.log_artifact(self._id, str(file))
        # The time is that of the end: MLflow drops a value that it has already, with the same time and step.
        at = _milliseconds(ending.at)
        self._log([(name, value, at, ending.epoch or 0) for name, value in ending.values.items()])
        tags = {"recrun.status": ending.status, "recrun.cause": ending.cause, "recrun.best_epoch": ending.epoch}
        for name, value in tags.items():
            if value is not None:
                self._client.set_tag(self._id, name, str(value)[:_LONGEST])
        self._client.set_terminated(self._id, _STATUS.get(ending.status, "KILLED"), end_time=at)

    def _find(self, about: About) -> Any:
        """Return the run at the server, or None: it may be another server than before."""
        from mlflow.exceptions import MlflowException

        if about.handle is not None:
            try:
                found = self._client.get_run(about.handle)
                return found if found.info.lifecycle_stage == "active" else None
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
        # The process may have been killed after it created the run, before it recorded its handle.
        found = self._client.search_runs([self._experiment(about)], f"tags.\"recrun.id\" = '{about.id}'", max_results=1)
        return found[0] if found else None

    def _experiment(self, about: About) -> str:
        from mlflow.exceptions import MlflowException

        if about.project is None and os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return os.environ["MLFLOW_EXPERIMENT_ID"]
        name = about.project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or about.description
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another trial of a sweep was faster
                    raise
                found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id)

    def _log_settings(self, settings: Mapping[str, Any], before: Mapping[str, str]) -> None:
        """Log parameters, which MLflow does not let change: what did, as `epochs` may at a resume, becomes a tag."""
        from mlflow.entities import Param, RunTag

        texts = {key: _text(value) for key, value in settings.items()}
        new = [Param(key, text) for key, text in texts.items() if key not in before]
        changed = [RunTag(f"now.{key}", text) for key, text in texts.items() if before.get(key, text) != text]
        for start in range(0, len(new), _MANY):
            self._client.log_batch(self._id, params=new[start : start + _MANY])
        for start in range(0, len(changed), _MANY):
            self._client.log_batch(self._id, tags=changed[start : start + _MANY])

    def _log(self, values: Sequence[tuple[str, float, int, int]], tags: Mapping[str, str] | None = None) -> None:
        """Log values, and set tags once all of them are there."""
        from mlflow.entities import Metric, RunTag

        metrics = [Metric(metric_name(name), value, at, step) for name, value, at, step in values]
        for start in range(0, len(metrics), _METRICS):
            is_last = start + _METRICS >= len(metrics)
            done = [RunTag(name, text) for name, text in (tags or {}).items()] if is_last else []
            self._client.log_batch(self._id, metrics=metrics[start : start + _METRICS], tags=done)


def _calls(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Yield the points, together as many as fit into one call; one that has more values than that is alone."""
    some: list[Point] = []
    for point in points:
        if some and sum(len(each.values) for each in [*some, point]) > _METRICS:
            yield some
            some = []
        some.append(point)
    if some:
        yield some


def metric_name(name: str) -> str:
    """Return the name of a metric as MLflow takes it.

    >>> metric_name("valid/ndcg@10")
    'valid/ndcg_at_10'
    """
    return _REFUSED.sub("_", name.replace("@", "_at_"))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else dump_value(value)
    return text[:_LONGEST]


def _milliseconds(at: str | None) -> int:
    moment = datetime.now() if at is None else datetime.fromisoformat(at)
    return int(moment.timestamp() * 1000)
