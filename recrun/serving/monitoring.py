"""Count what the server does, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from recrun.serving.served import About

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LISTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Monitoring:
    """The metrics of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the number of series
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        registry = self._registry
        self._requests = Counter("recrun_requests", "Requests.", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "recrun_request_seconds", "Time of a request.", ["path"], buckets=_SECONDS, registry=registry
        )
        self._lists = Histogram(
            "recrun_batch_lists", "Lists that are ranked at once.", ["kind"], buckets=_LISTS, registry=registry
        )
        self._ranking = Histogram(
            "recrun_batch_seconds", "Time to rank a batch.", ["kind"], buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge("recrun_waiting_lists", "Lists that wait to be ranked.", registry=registry)
        self._model = Gauge("recrun_model", "The model that is served.", ["run", "model", "as_of"], registry=registry)
        self._since = Gauge("recrun_model_loaded_timestamp_seconds", "When it was loaded.", registry=registry)
        self._reloads = Counter("recrun_reloads", "Attempts to serve another model.", ["result"], registry=registry)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def ranked(self, kind: str, n_lists: int, seconds: float) -> None:
        """Count a batch."""
        self._lists.labels(kind).observe(n_lists)
        self._ranking.labels(kind).observe(seconds)

    def watch_waiting(self, n_waiting: Callable[[], int]) -> None:
        """Have the number of lists that wait read whenever the metrics are."""
        self._waiting.set_function(n_waiting)

    def serves(self, about: About) -> None:
        """Note which model is served."""
        self._model.clear()
        self._model.labels(about.run, about.model, about.as_of).set(1)
        self._since.set(about.since)

    def reloaded(self, *, ok: bool) -> None:
        """Count an attempt to serve another model."""
        self._reloads.labels("done" if ok else "failed").inc()

    def text(self) -> bytes:
        """Return all metrics."""
        return generate_latest(self._registry)
