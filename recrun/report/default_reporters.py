"""The reporters that a run has unless it is given others: live view, log, metrics, event files and summary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recrun.registry import REPORTERS

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder
    from recrun.training.reporter import Reporter


@REPORTERS.register("default")
def default_reporters(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None = None) -> list[Reporter]:
    """Return the live view on stderr, and the writers of log, metrics, event files and summary of a run folder.

    Args:
        run: the run folder.
        settings: the resolved config; `verbose` sets how much is shown.
        resumed_from: the epoch the run goes on from; the view begins with the table of the epochs before it.

    Raises:
        OSError: a file cannot be written.
    """
    from recrun.report.files.events import EventWriter
    from recrun.report.files.log import LogWriter
    from recrun.report.files.metrics_file import MetricsWriter, read_metrics
    from recrun.report.files.summary import SummaryWriter
    from recrun.report.terminal.console import stderr_console
    from recrun.report.terminal.live import LiveReporter

    live = LiveReporter(stderr_console(), int(settings.get("verbose", 1)))
    metrics = MetricsWriter(run.metrics_lines_file, resumed_from)
    if resumed_from is not None:
        live.recall(read_metrics(run.metrics_lines_file))
    # The summary is made from what the metrics file holds, so it comes after it.
    summary = SummaryWriter(run, settings)
    return [live, LogWriter(run.log_file), metrics, EventWriter(run.summary_folder), summary]
