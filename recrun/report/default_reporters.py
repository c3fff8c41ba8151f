"""Register the reporters of recrun: live view, log, event files, summary, and those of trackers.

Each is a factory `(run, settings, resumed_from) -> Reporter`; `recrun.config.settings.USUAL_REPORTERS` is the order of
those that every run has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recrun.registry import REPORTERS

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder
    from recrun.training.reporter import Reporter

_LINES_OF_AN_EPOCH = 8
"""At least as many as a history has of one epoch."""


@REPORTERS.register("live")
def live(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Show the progress of the run on stderr, in the detail set by `verbose`; after a resume with its past epochs."""
    from recrun.report.terminal.board import MAX_ROWS
    from recrun.report.terminal.console import stderr_console
    from recrun.report.terminal.live import LiveReporter
    from recrun.runs.history import recent_history

    view = LiveReporter(stderr_console(), int(settings.get("verbose", 1)))
    if resumed_from is not None:
        view.recall(recent_history(run.metrics_lines_file, 2 * MAX_ROWS))
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
    from recrun.runs.history import recent_history

    return EventWriter(run.summary_folder, recent_history(run.metrics_lines_file, _LINES_OF_AN_EPOCH))


@REPORTERS.register("summary")
def summary(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Write SUMMARY.md and its plots at the end of the run."""
    from recrun.report.files.summary import SummaryWriter

    return SummaryWriter(run, settings)


@REPORTERS.register("tensorboard")
def tensorboard(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Add the settings and the final metrics to the event files, for the tab HPARAMS of TensorBoard."""
    from recrun.report.files.hparams import HparamsWriter

    return HparamsWriter(run, settings)


@REPORTERS.register("mlflow", package="mlflow")
def mlflow(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Report the run to MLflow."""
    from recrun.report.trackers.mlflow import MlflowTracker

    return MlflowTracker(run, settings)


@REPORTERS.register("wandb", package="wandb")
def wandb(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Report the run to Weights & Biases."""
    from recrun.report.trackers.wandb import WandbTracker

    return WandbTracker(run, settings)


@REPORTERS.register("trackio", package="trackio")
def trackio(run: RunFolder, settings: Mapping[str, Any], resumed_from: int | None) -> Reporter:
    """Report the run to Trackio."""
    from recrun.report.trackers.trackio import TrackioTracker

    return TrackioTracker(run, settings)
