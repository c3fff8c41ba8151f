"""The reporters a run has unless it is given others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recrun.monitors import Reporter

if TYPE_CHECKING:
    from recrun.runs import RunFolder


def usual_reporters(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None = None) -> list[Reporter]:
    """Return the live view on stderr, and the writers of log, metrics, event files and summary of a run folder.

    Args:
        run: the run folder.
        settings: the resolved config; `verbose` sets how much is shown.
        resumed_from: the epoch the run goes on from; the view begins with the table of the epochs before it.

    Raises:
        OSError: a file cannot be written.
    """
    from recrun.report.console import stderr_console
    from recrun.report.events import EventWriter
    from recrun.report.live import LiveReporter
    from recrun.report.log import LogWriter
    from recrun.report.metrics_file import MetricsWriter, read_metrics
    from recrun.report.summary import SummaryWriter

    live = LiveReporter(stderr_console(), int(settings.get("verbose", 1)))
    metrics = MetricsWriter(run.metrics_lines_file, resumed_from)
    if resumed_from is not None:
        live.recall(read_metrics(run.metrics_lines_file))
    # The summary is made from what the metrics file holds, so it comes after it.
    summary = SummaryWriter(run, settings)
    return [live, LogWriter(run.log_file), metrics, EventWriter(run.summary_folder), summary]
