"""What a run shows and leaves behind: the live view, the log, the metrics file, event files, and the summary.

Nothing is imported before it is asked for: rich, matplotlib and tensorboard each take a noticeable time to load.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recrun.report.console import stderr_console, stdout_console
    from recrun.report.events import EventWriter
    from recrun.report.live import LiveReporter
    from recrun.report.log import LogWriter
    from recrun.report.metrics_file import MetricsWriter, read_metrics
    from recrun.report.summary import SummaryWriter, write_summary
    from recrun.report.tables import component_table, evaluation_table, parameter_table, result_table, table
    from recrun.report.usual import usual_reporters

_PLACES = {
    "stderr_console": "console",
    "stdout_console": "console",
    "EventWriter": "events",
    "LiveReporter": "live",
    "LogWriter": "log",
    "MetricsWriter": "metrics_file",
    "read_metrics": "metrics_file",
    "SummaryWriter": "summary",
    "write_summary": "summary",
    "component_table": "tables",
    "evaluation_table": "tables",
    "parameter_table": "tables",
    "result_table": "tables",
    "table": "tables",
    "usual_reporters": "usual",
}

__all__ = [
    "EventWriter",
    "LiveReporter",
    "LogWriter",
    "MetricsWriter",
    "SummaryWriter",
    "component_table",
    "evaluation_table",
    "parameter_table",
    "read_metrics",
    "result_table",
    "stderr_console",
    "stdout_console",
    "table",
    "usual_reporters",
    "write_summary",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
