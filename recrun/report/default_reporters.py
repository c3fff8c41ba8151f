"""Register the reporters of recrun: metrics file, live view, log, event files and summary.

Each is a factory `(run, settings, resumed_from) -> Reporter`; `recrun.config.settings.USUAL_REPORTERS` is their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recrun.registry import REPORTERS

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder
    from recrun.training.reporter import Reporter


@REPORTERS.register("metrics")
def metrics(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Write metrics.jsonl: one line of JSON for each epoch and split."""
    from recrun.report.files.metrics_file import MetricsWriter

    return MetricsWriter(run.metrics_lines_file, resumed_from)


@REPORTERS.register("live")
def live(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Show the progress of the run on stderr, in the detail set by `verbose`; after a resume with its past epochs."""
    from recrun.report.files.metrics_file import read_metrics
    from recrun.report.terminal.console import stderr_console
    from recrun.report.terminal.live import LiveReporter

    view = LiveReporter(stderr_console(), int(settings.get("verbose", 1)))
    if resumed_from is not None:
        view.recall(read_metrics(run.metrics_lines_file))
    return view


@REPORTERS.register("log")
def log(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Write log.txt: every event with its time."""
    from recrun.report.files.log import LogWriter

    return LogWriter(run.log_file)


@REPORTERS.register("events")
def events(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Write TensorBoard event files."""
    from recrun.report.files.events import EventWriter

    return EventWriter(run.summary_folder)


@REPORTERS.register("summary")
def summary(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Write SUMMARY.md and its plots at the end of the run."""
    from recrun.report.files.summary import SummaryWriter

    return SummaryWriter(run, settings)
